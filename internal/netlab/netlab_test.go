package netlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv("NETLAB_TEST_DIE") != "" {
		dieWithLab()
	}
	os.Exit(m.Run())
}

// dieWithLab makes a lab, says its name and is killed before it can clean up.
func dieWithLab() {
	lab, err := New(Config{Name: "orphan"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(lab.Stack.Namespace)
	unix.Kill(os.Getpid(), unix.SIGKILL)
}

func exists(namespace string) bool {
	_, err := os.Stat(filepath.Join(namespaceDir, namespace))
	return err == nil
}

func TestKernelToKernel(t *testing.T) {
	lab := ForTest(t, Config{Name: "tcp", BothKernel: true})
	ln, err := lab.Stack.Listen("tcp", "10.77.0.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := lab.Kernel.DialContext(ctx, "tcp", "10.77.0.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != "10.77.0.2:7000" {
		t.Errorf("remote address %s", got)
	}
	fmt.Fprintln(c, "hello")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("echo: %q, %v", line, err)
	}
}

func TestDialErrors(t *testing.T) {
	lab := ForTest(t, Config{Name: "dial", BothKernel: true})
	if _, err := lab.Kernel.Dial("tcp", "10.77.0.2:9"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("closed port: %v, want ECONNREFUSED", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lab.Kernel.DialContext(ctx, "tcp", "10.77.0.3:9"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("absent host: %v, want a deadline error", err)
	}
	for _, bad := range []string{"localhost:80", "10.77.0.2", "[::1]:80"} {
		if c, err := lab.Kernel.Dial("tcp", bad); err == nil {
			c.Close()
			t.Errorf("dial %q succeeded", bad)
		}
	}
}

func TestUDP(t *testing.T) {
	lab := ForTest(t, Config{Name: "udp", BothKernel: true})
	pc, err := lab.Stack.ListenPacket("udp", "10.77.0.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := lab.Kernel.Dial("udp", "10.77.0.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, from, err := pc.ReadFrom(buf); err != nil || string(buf[:n]) != "ping" || from.(*net.UDPAddr).IP.String() != "10.77.0.1" {
		t.Errorf("received %q from %v, %v", buf[:n], from, err)
	}
}

func TestConfiguration(t *testing.T) {
	lab := ForTest(t, Config{Name: "config", Queues: 3, MTU: 9000, Qdisc: "pfifo", Threaded: true})
	for _, s := range []*Side{lab.Stack, lab.Kernel} {
		err := s.Do(func() error {
			link, err := netlink.LinkByName(s.Interface)
			if err != nil {
				return err
			}
			a := link.Attrs()
			if a.NumRxQueues != 3 || a.NumTxQueues != 3 || a.MTU != 9000 || a.Flags&net.FlagUp == 0 || a.Index != s.Index {
				t.Errorf("%s: %d/%d queues, MTU %d, flags %v, index %d", s, a.NumRxQueues, a.NumTxQueues, a.MTU, a.Flags, a.Index)
			}
			addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
			if err != nil {
				return err
			}
			if want := map[*Side]int{lab.Stack: 0, lab.Kernel: 1}[s]; len(addresses) != want {
				t.Errorf("%s: addresses %v, want %d", s, addresses, want)
			}
			return checkOffloads(t, s, false)
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestOffloadsKept(t *testing.T) {
	lab := ForTest(t, Config{Name: "offloads", Offloads: true, GRO: true})
	if err := lab.Kernel.Do(func() error { return checkOffloads(t, lab.Kernel, true) }); err != nil {
		t.Error(err)
	}
}

func checkOffloads(t *testing.T, s *Side, want bool) error {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer tool.Close()
	features, err := tool.Features(s.Interface)
	if err != nil {
		return err
	}
	for _, f := range []string{"tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-generic-segmentation", "rx-gro"} {
		if features[f] != want {
			t.Errorf("%s: %s is %v", s, f, features[f])
		}
	}
	return nil
}

func TestLinkDownIsSeenByTheOtherSide(t *testing.T) {
	lab := ForTest(t, Config{Name: "down"})
	state := func() netlink.LinkOperState {
		var state netlink.LinkOperState
		if err := lab.Kernel.Do(func() error {
			link, err := netlink.LinkByName(lab.Kernel.Interface)
			if err == nil {
				state = link.Attrs().OperState
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return state
	}
	// The kernel works out the operational state in its own time: at once, or within a second.
	await := func(up bool) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); (state() == netlink.OperUp) != up; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("link is %v, want up: %v", state(), up)
			}
		}
	}
	await(true)
	if err := lab.Stack.SetDown(); err != nil {
		t.Fatal(err)
	}
	await(false)
	if err := lab.Stack.SetUp(); err != nil {
		t.Fatal(err)
	}
	await(true)
}

func TestCommandRunsInside(t *testing.T) {
	if _, err := exec.LookPath("nsenter"); err != nil {
		t.Skip("needs nsenter (package util-linux)")
	}
	lab := ForTest(t, Config{Name: "command"})
	out, err := lab.Stack.Command(t.Context(), "cat", "/proc/net/dev").CombinedOutput()
	if err != nil || !strings.Contains(string(out), stackInterface) || strings.Contains(string(out), "eth0") {
		t.Errorf("interfaces inside: %v\n%s", err, out)
	}
}

func TestDoReturnsToTheOldNamespace(t *testing.T) {
	lab := ForTest(t, Config{Name: "return"})
	link := func() string { name, _ := os.Readlink("/proc/thread-self/ns/net"); return name }
	before, inside := link(), ""
	want := errors.New("from f")
	if err := lab.Stack.Do(func() error { inside = link(); return want }); !errors.Is(err, want) {
		t.Errorf("Do returned %v", err)
	}
	if inside == before || link() != before {
		t.Errorf("before %s, inside %s, after %s", before, inside, link())
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	lab := ForTest(t, Config{Name: "close"})
	if !exists(lab.Stack.Namespace) || !exists(lab.Kernel.Namespace) {
		t.Fatal("namespaces are not listed")
	}
	for range 2 {
		if err := lab.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if exists(lab.Stack.Namespace) || exists(lab.Kernel.Namespace) {
		t.Error("namespaces are still listed")
	}
}

func TestFailedNewLeavesNothing(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	for name, cfg := range map[string]Config{
		"qdisc":  {Name: "fail-qdisc", Qdisc: "no-such"},
		"queues": {Name: "fail-queues", Queues: 1 << 20},
		"mtu":    {Name: "fail-mtu", MTU: 1 << 20},
		"name":   {Name: "fail/name"},
	} {
		if lab, err := New(cfg); err == nil {
			lab.Close()
			t.Errorf("%s: no error", name)
		}
	}
	left, _ := filepath.Glob(fmt.Sprintf("%s/xs-fail-*-%d-*", namespaceDir, os.Getpid()))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSweep(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	living := ForTest(t, Config{Name: "living"})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NETLAB_TEST_DIE=1")
	out, err := cmd.Output()
	if err == nil {
		t.Fatal("the child was not killed")
	}
	orphan := strings.TrimSpace(string(out))
	if !exists(orphan) {
		t.Fatalf("the child left no namespace; it said %q", orphan)
	}
	// Another test process may sweep at the same time, so what counts is that it is gone.
	if _, err := Sweep(); err != nil {
		t.Fatal(err)
	}
	if exists(orphan) {
		t.Errorf("%s is still there", orphan)
	}
	if !exists(living.Stack.Namespace) {
		t.Error("the lab of a living process was removed")
	}
}

func TestOwnerOf(t *testing.T) {
	for name, want := range map[string]int{
		"xs-lab-123-0a0b0c0d-stack":       123,
		"xs-two-words-77-0a0b0c0d-kernel": 77,
		"xs-lab-123-0a0b0c0d-other":       0,
		"xs-lab-x-0a0b0c0d-stack":         0,
		"xs-stack":                        0,
		"other-lab-123-0a0b0c0d-stack":    0,
	} {
		if pid, ok := ownerOf(name); pid != want || ok != (want != 0) {
			t.Errorf("ownerOf(%q) = %d, %v", name, pid, ok)
		}
	}
}

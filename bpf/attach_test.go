package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// childMode is set for the child process of TestKilledProcessLeavesNothing.
const childMode = "BPF_TEST_ATTACH_MODE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		attachAndWait(mode)
	}
	os.Exit(m.Run())
}

// attachAndWait attaches a program to the interface named by the last argument, says so, and waits to be killed.
func attachAndWait(mode string) {
	err := func() error {
		n, err := strconv.Atoi(mode)
		if err != nil {
			return err
		}
		nic, err := net.InterfaceByName(os.Args[len(os.Args)-1])
		if err != nil {
			return err
		}
		p, err := Load(Config{})
		if err != nil {
			return err
		}
		got, err := p.Attach(nic.Index, AttachMode(n))
		if err != nil {
			return err
		}
		fmt.Println("attached", got)
		select {}
	}()
	fmt.Println(err)
	os.Exit(1)
}

// attached says in which mode an XDP program is attached to a side's interface, AttachAuto for none, and its number.
func attached(t *testing.T, s *netlab.Side) (mode AttachMode, id uint32) {
	t.Helper()
	err := s.Do(func() error {
		l, err := netlink.LinkByName(s.Interface)
		if err != nil {
			return err
		}
		if xdp := l.Attrs().Xdp; xdp != nil && xdp.Attached {
			// XDP_ATTACHED_DRV is 1, XDP_ATTACHED_SKB 2: as the modes of this package.
			mode, id = AttachMode(xdp.AttachMode), xdp.ProgId
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return mode, id
}

// attach attaches p to the stack's side of a lab.
func attach(p *Program, s *netlab.Side, mode AttachMode) (got AttachMode, err error) {
	err = s.Do(func() error {
		got, err = p.Attach(s.Index, mode)
		return err
	})
	return got, err
}

func TestAttachModes(t *testing.T) {
	tests := []struct {
		ask, want AttachMode
		mtu       int
	}{
		{AttachAuto, AttachNative, 1500},
		{AttachNative, AttachNative, 1500},
		{AttachGeneric, AttachGeneric, 1500},
		{AttachAuto, AttachGeneric, 9000}, // veth's native mode needs a frame to fit into a page
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%v with MTU %d", tt.ask, tt.mtu), func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "attach", MTU: tt.mtu})
			p := load(t, Config{})
			got, err := attach(p, lab.Stack, tt.ask)
			if err != nil || got != tt.want {
				t.Fatalf("attached in mode %v, %v", got, err)
			}
			if fellBack := tt.ask == AttachAuto && tt.want == AttachGeneric; (p.Fallback() != nil) != fellBack {
				t.Errorf("reason to fall back: %v", p.Fallback())
			}
			id, err := p.ID()
			if err != nil {
				t.Fatal(err)
			}
			if mode, gotID := attached(t, lab.Stack); mode != tt.want || gotID != id {
				t.Errorf("the kernel says mode %v, program %d; it is %d", mode, gotID, id)
			}
			for range 2 {
				if err := p.Detach(); err != nil {
					t.Fatal(err)
				}
			}
			if mode, id := attached(t, lab.Stack); id != 0 {
				t.Errorf("program %d stayed in mode %v", id, mode)
			}
			if _, err := attach(p, lab.Stack, tt.want); err != nil {
				t.Errorf("attach again: %v", err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if mode, id := attached(t, lab.Stack); id != 0 {
				t.Errorf("after Close program %d stayed in mode %v", id, mode)
			}
		})
	}
}

// TestAttachToLargeMTU is about a driver that takes only a program that bears frames of several buffers.
func TestAttachToLargeMTU(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "large", MTU: 65535})
	p := load(t, Config{Fragments: true})
	if mode, err := attach(p, lab.Stack, AttachNative); mode != AttachNative || err != nil {
		t.Errorf("mode %v, %v", mode, err)
	}
}

func TestAttachErrors(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "refused", MTU: 9000})
	first, second := load(t, Config{}), load(t, Config{})
	refusal := unix.EINVAL
	if lab.Veth() {
		refusal = unix.ERANGE
	}
	_, err := attach(first, lab.Stack, AttachNative)
	if !errors.Is(err, refusal) || !Refused(err) {
		t.Errorf("native mode with MTU 9000: %v, want %v", err, refusal)
	} else if s := err.Error(); !strings.Contains(s, "the driver says: ") || !strings.Contains(s, "9000") ||
		!strings.Contains(s, "make it smaller") {
		t.Errorf("%v: it has not what the driver says, the MTU, and what to do", err)
	}
	if mode, id := attached(t, lab.Stack); id != 0 {
		t.Errorf("program %d is attached in mode %v after it was refused", id, mode)
	}
	if _, err := attach(first, lab.Stack, AttachGeneric); err != nil {
		t.Fatal(err)
	}
	if _, err := attach(first, lab.Stack, AttachGeneric); !errors.Is(err, ErrAttached) {
		t.Errorf("the same program again: %v", err)
	}
	for _, mode := range []AttachMode{AttachAuto, AttachNative, AttachGeneric} {
		if _, err := attach(second, lab.Stack, mode); !errors.Is(err, ErrOccupied) && !errors.Is(err, refusal) {
			t.Errorf("a second program, %v: %v", mode, err)
		}
	}
	if _, err := second.Attach(1<<30, AttachAuto); err == nil {
		t.Error("attached to an interface that does not exist")
	}
	if _, err := second.Attach(lab.Stack.Index, AttachMode(9)); err == nil {
		t.Error("attached in a mode that does not exist")
	}
	if mode, _ := attached(t, lab.Stack); mode != AttachGeneric {
		t.Errorf("afterwards the first program is in mode %v", mode)
	}
}

func TestInterfaceVanishes(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "vanish"})
	p := load(t, Config{})
	if _, err := attach(p, lab.Stack, AttachNative); err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Counters(); err != nil {
		t.Errorf("counters without the interface: %v", err)
	}
	if err := p.Detach(); err != nil {
		t.Errorf("detach from an interface that is gone: %v", err)
	}
}

func TestQueuesAreSteeredApart(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "queues", Queues: 3})
	p := load(t, Config{Queues: 3})
	if _, err := attach(p, lab.Stack, AttachNative); err != nil {
		t.Fatal(err)
	}
	setSocket(t, p, 2)
	err := lab.Stack.Do(func() error { // a test run looks for the interface in the thread's namespace
		for queue, want := range []steerReason{steerReasonPASS_NO_SOCKET, steerReasonPASS_NO_SOCKET, steerReasonREDIRECT_TCP} {
			check(t, p, tcp(ours, ownedPort), queue, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestKernelKeepsWhatNoSocketTakes runs real traffic through the program: without a socket, owned frames reach the kernel.
func TestKernelKeepsWhatNoSocketTakes(t *testing.T) {
	for _, mode := range []AttachMode{AttachNative, AttachGeneric} {
		t.Run(mode.String(), func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "live", BothKernel: true})
			p := load(t, Config{Mode: SharedAddress})
			if _, err := attach(p, lab.Stack, mode); err != nil {
				t.Fatal(err)
			}
			ln, err := lab.Stack.Listen("tcp", net.JoinHostPort(ours.String(), strconv.Itoa(ownedPort)))
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			c, err := lab.Kernel.DialContext(t.Context(), "tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			// The SYN and the handshake's ACK at least, which may be on its way still, and ARP before them.
			var counters Counters
			for end := time.Now().Add(5 * time.Second); counters.Passed.NoSocket < 2 && time.Now().Before(end); {
				if counters, err = p.Counters(); err != nil {
					t.Fatal(err)
				}
			}
			if counters.Passed.NoSocket < 2 || counters.Passed.ARP < 1 || counters.Redirected != (Redirected{}) {
				t.Errorf("counters %+v", counters)
			}
		})
	}
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	for _, mode := range []AttachMode{AttachNative, AttachGeneric} {
		t.Run(mode.String(), func(t *testing.T) {
			lab := netlab.ForTest(t, netlab.Config{Name: "killed"})
			cmd := exec.CommandContext(t.Context(), os.Args[0], lab.Stack.Interface)
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", childMode, mode))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := lab.Stack.Do(cmd.Start); err != nil { // a child begins in the namespace of the thread that starts it
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || strings.TrimSpace(line) != "attached "+mode.String() {
				cmd.Process.Kill()
				cmd.Wait()
				t.Fatalf("the child said %q, %v", line, err)
			}
			if got, _ := attached(t, lab.Stack); got != mode {
				t.Errorf("while the child lives the mode is %v", got)
			}
			if err := cmd.Process.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			// The kernel closes the link's descriptor while the process exits, and may finish just after it was reaped.
			end := time.Now().Add(5 * time.Second)
			for {
				got, id := attached(t, lab.Stack)
				if id == 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("program %d is still attached in mode %v", id, got)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}

package stack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// runOn runs a command on the kernel's side.
func runOn(t *testing.T, side *netlab.Side, args ...string) string {
	t.Helper()
	out, err := side.Command(context.Background(), args[0], args[1:]...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("needs programs, such as %s and %s: %v", "nsenter", args[0], err)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestManyAddressesOnVeth gives a stack a prefix that is routed to its first address, and addresses of the network: the kernel pings and
// connects to some of each, and what is for an address beside them is the kernel's.
func TestManyAddressesOnVeth(t *testing.T) {
	if _, err := exec.LookPath("ping"); err != nil {
		t.Skip("no ping command; install iputils-ping")
	}
	s, l := openOnVeth(t, netlab.Config{Queues: 2}, Config{Addresses: ranges(t, "198.18.0.0/16", "10.77.0.128/25")})
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	runOn(t, l.Kernel, "ip", "route", "add", "198.18.0.0/15", "via", l.Stack.Address.Addr().String())
	for _, a := range []string{"10.77.0.2", "10.77.0.128", "10.77.0.254", "198.18.0.0", "198.18.77.7", "198.18.255.255"} {
		for _, size := range []string{"56", "4000"} {
			out, err := l.Kernel.Command(context.Background(), "ping", "-c", "1", "-W", "5", "-s", size, a).CombinedOutput()
			if err != nil || !strings.Contains(string(out), " 0% packet loss") {
				t.Errorf("ping %s: %v\n%s", a, err, out)
			}
		}
		c, err := l.Kernel.Dial("tcp", a+":7")
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 5)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Errorf("%s: got %q, %v", a, buf, err)
		}
		c.Close()
	}
	count := func() (passed, received uint64) {
		n, err := s.Interface().Program().Counters()
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		return n.Passed.Address, r[0].Stats.Drop.NotOurs + r[1].Stats.Drop.NotOurs
	}
	passed, _ := count()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if c, err := l.Kernel.DialContext(ctx, "tcp", "198.19.0.1:7"); err == nil {
		t.Error("an address beside the prefix was connected to")
		c.Close()
	}
	if after, strays := count(); after == passed || strays != 0 {
		t.Errorf("%d packets to an address beside the prefix passed, %d came to the stack", after-passed, strays)
	}
}

// TestDialFromManyAddressesToKernel connects to one port of the kernel from three addresses in turn.
func TestDialFromManyAddressesToKernel(t *testing.T) {
	s, l := openOnVeth(t, netlab.Config{}, Config{Addresses: ranges(t, "10.77.0.130-10.77.0.132")})
	ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 80))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go serveEach(ln, func(c net.Conn) { io.WriteString(c, c.RemoteAddr().String()) })
	d := Dialer{Stack: s, Spread: true, Timeout: 5 * time.Second}
	seen := map[netip.Addr]int{}
	for range 30 {
		c, err := d.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		text, err := io.ReadAll(c)
		from, _ := netip.ParseAddrPort(string(text))
		if err != nil || c.LocalAddr().String() != string(text) {
			t.Errorf("the kernel sees %s, the connection is from %v; %v", text, c.LocalAddr(), err)
		}
		seen[from.Addr()]++
		c.Close()
	}
	if len(seen) != 3 || seen[netip.MustParseAddr("10.77.0.131")] != 10 {
		t.Errorf("connections by address: %v", seen)
	}
}

// TestOneOfManyAddressesIsTaken opens stacks that have an address of the kernel's on their own side, or of another host's, among theirs.
func TestOneOfManyAddressesIsTaken(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{})
	runOn(t, l.Kernel, "ip", "addr", "add", "10.77.0.177/32", "dev", l.Kernel.Interface)
	runOn(t, l.Stack, "ip", "addr", "add", "10.77.3.3/32", "dev", l.Stack.Interface)
	for list, want := range map[string]struct {
		err error
		has string
	}{
		"10.77.0.128/25": {ErrAddressInUse, "10.77.0.177 on " + l.Stack.Interface + " is used by"},
		"10.77.3.0/24":   {ErrConfig, "the kernel has 10.77.3.3 on " + l.Stack.Interface},
	} {
		err := l.Stack.Do(func() error {
			s, err := Open(Config{Interface: l.Stack.Interface, Address: l.Stack.Address, Addresses: ranges(t, list)})
			if err == nil {
				s.Close()
			}
			return err
		})
		if !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.has) {
			t.Errorf("%s: %v, want %v with %q", list, err, want.err, want.has)
		}
	}
}

package stack

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// vlanLab has a VLAN over the wire beside what has no tag, with the same addresses on each: 10.77.1.1 and .2 on the VLAN.
func vlanLab(t *testing.T, queues int) *netlab.Lab {
	t.Helper()
	l := netlab.ForTest(t, netlab.Config{Name: "vlan", BothKernel: true, Queues: queues})
	if !l.Veth() {
		t.Skip("needs interfaces whose offloads are known")
	}
	out, err := l.Stack.Command(t.Context(), "ip", "link", "add", "link", l.Stack.Interface, "name", "xs-try", "type", "vlan", "id", "1").
		CombinedOutput()
	if strings.Contains(string(out), "Unknown device type") || strings.Contains(string(out), "not supported") {
		t.Skipf("needs a kernel with VLANs (8021q): %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, side := range []*netlab.Side{l.Kernel, l.Stack} {
		for _, id := range []string{"100", "101"} {
			runOn(t, side, "ip", "link", "add", "link", side.Interface, "name", "xs-v"+id, "type", "vlan", "id", id)
			runOn(t, side, "ip", "link", "set", "xs-v"+id, "up")
		}
		runOn(t, side, "ip", "addr", "add", []string{"10.77.1.1/24", "10.77.1.2/24"}[i], "dev", "xs-v100")
		runOn(t, side, "ip", "addr", "add", []string{"10.77.2.1/24", "10.77.2.2/24"}[i], "dev", "xs-v101")
	}
	return l
}

// TestSharedVLAN shares a VLAN's address, while the kernel uses the VLAN too, another, and none.
func TestSharedVLAN(t *testing.T) {
	l := vlanLab(t, 2)
	s := openSharedIn(t, l, Config{Interface: "xs-v100"})
	if got := s.Address().String(); got != "10.77.1.2/24" {
		t.Fatalf("address %s", got)
	}
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	u, err := s.ListenPacket("udp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	echoOn(t, l.Stack, "10.77.1.2:22")
	echoOn(t, l.Stack, "10.77.2.2:7777")
	echoOn(t, l.Stack, "10.77.0.2:7777")
	echoOn(t, l.Kernel, "10.77.1.1:7")
	for what, at := range map[string]string{
		"to the stack": "10.77.1.2:7", "to the kernel on the VLAN": "10.77.1.2:22", "to the kernel on another": "10.77.2.2:7777",
		"to the kernel without a tag": "10.77.0.2:7777",
	} {
		c, err := l.Kernel.Dial("tcp", at)
		h := newChat(t, c, err)
		h.goesOn(t, what)
		h.end(t, what)
	}
	c, err := s.Dial("tcp", "10.77.1.1:7")
	h := newChat(t, c, err)
	h.goesOn(t, "from the stack")
	h.end(t, "from the stack")
	c, err = l.Kernel.Dial("tcp", "10.77.1.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	const size = 4 << 20
	go func() { _, _ = c.Write(make([]byte, size)) }()
	if n, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Errorf("%d of %d bytes came back: %v", n, size, err)
	}
	k, err := l.Kernel.Dial("udp", "10.77.1.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	k.SetDeadline(time.Now().Add(5 * time.Second))
	k.Write([]byte("hello"))
	buf := make([]byte, 4000)
	n, from, err := u.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	u.WriteTo(make([]byte, 3000), from) // in fragments, each with its tag
	if n, err := k.Read(buf); err != nil || n != 3000 {
		t.Errorf("%d bytes, %v", n, err)
	}
	stats, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range stats {
		if r.Stats.Drop.VLAN != 0 || r.Stats.Drop.NotOurs != 0 {
			t.Errorf("%+v", r.Stats.Drop)
		}
	}
	steered, err := s.Interface().Program().Counters()
	if err != nil || steered.Passed.VLAN == 0 {
		t.Errorf("%+v, %v", steered, err)
	}
}

// TestOwnAddressOnVLAN gives a stack an address of its own on a VLAN: it is found by ARP, pinged and connected to there, and only there.
func TestOwnAddressOnVLAN(t *testing.T) {
	l := vlanLab(t, 1)
	var s *Stack
	err := l.Stack.Do(func() (err error) {
		s, err = Open(Config{Interface: "xs-v100", Address: netip.MustParsePrefix("10.77.1.9/24")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	runOn(t, l.Kernel, "ping", "-c", "1", "-W", "5", "10.77.1.9")
	runOn(t, l.Kernel, "ping", "-c", "1", "-W", "5", "-s", "4000", "10.77.1.9")
	runOn(t, l.Kernel, "ping", "-c", "1", "-W", "5", "10.77.1.2") // the kernel beside
	c, err := l.Kernel.Dial("tcp", "10.77.1.9:7")
	h := newChat(t, c, err)
	h.goesOn(t, "to the stack")
	h.end(t, "to the stack")
	c, err = s.Dial("tcp", "10.77.1.1:9")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v", c, err)
	}
	out, err := l.Kernel.Command(t.Context(), "arping", "-c", "1", "-w", "1", "-I", "xs-v101", "10.77.1.9").CombinedOutput()
	if err == nil && strings.Contains(string(out), "Unicast reply") {
		t.Errorf("it answers on another VLAN:\n%s", out)
	}
}

// TestVLANThatCannotBe opens stacks on VLANs that are not implemented.
func TestVLANThatCannotBe(t *testing.T) {
	l := vlanLab(t, 1)
	runOn(t, l.Stack, "ip", "link", "add", "link", l.Stack.Interface, "name", "xs-service", "type", "vlan", "proto", "802.1ad", "id", "5")
	runOn(t, l.Stack, "ip", "link", "add", "link", "xs-v100", "name", "xs-inner", "type", "vlan", "id", "7")
	for name, why := range map[string]string{"xs-service": "802.1ad", "xs-inner": "within the VLAN xs-v100"} {
		err := l.Stack.Do(func() error {
			s, err := Open(Config{Interface: name, Address: netip.MustParsePrefix("10.77.9.9/24")})
			if err == nil {
				s.Close()
			}
			return err
		})
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTaggedOverVeth has two stacks talk over a wire with tags, one of them on another VLAN too: the kernels need not know VLANs for that.
func TestTaggedOverVeth(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{Name: "tagged"})
	open := func(side *netlab.Side, address string, vlan uint16) (s *Stack) {
		t.Helper()
		cfg := Config{Interface: side.Interface, Address: netip.MustParsePrefix(address)}
		full, err := cfg.withDefaults()
		if err == nil {
			err = side.Do(func() error {
				s, err = openOn(full, below{device: side.Interface, vlan: vlan})
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	server := open(l.Kernel, "10.77.1.1/24", 100)
	if _, err := server.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	client := open(l.Stack, "10.77.1.2/24", 100)
	c, err := client.Dial("tcp", "10.77.1.1:7")
	h := newChat(t, c, err)
	h.goesOn(t, "a connection with tags")
	h.end(t, "a connection with tags")
	if c, err = client.Dial("tcp", "10.77.1.1:7"); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	const size = 4 << 20
	go func() { _, _ = c.Write(make([]byte, size)) }()
	if n, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Errorf("%d of %d bytes came back: %v", n, size, err)
	}
	c.Close()
	u, err := server.ListenPacket("udp", ":9")
	if err != nil {
		t.Fatal(err)
	}
	d, err := client.Dial("udp", "10.77.1.1:9")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4000)
	for _, n := range []int{5, 3000} { // the second in fragments, each with its tag
		d.Write(make([]byte, n))
		u.SetReadDeadline(time.Now().Add(5 * time.Second))
		if got, _, err := u.ReadFrom(buf); err != nil || got != n {
			t.Errorf("%d of %d bytes, %v", got, n, err)
		}
	}
	// The programs take nothing that has not the one tag.
	n, err := server.Interface().Program().Counters()
	if err != nil || n.Redirected.TCP == 0 || n.Redirected.ARP == 0 || n.Redirected.Fragment == 0 || n.Passed.VLAN != 0 {
		t.Errorf("%+v, %v", n, err)
	}
	client.Close()
	for _, vlan := range []uint16{101, 0} {
		stranger := open(l.Stack, "10.77.1.3/24", vlan)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if c, err := stranger.DialContext(ctx, "tcp", "10.77.1.1:7"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("from VLAN %d: %v, %v", vlan, c, err)
		}
		cancel()
		stranger.Close()
		before := n.Passed.VLAN
		if n, err = server.Interface().Program().Counters(); err != nil || n.Passed.VLAN == before {
			t.Errorf("VLAN %d: %+v, %v", vlan, n.Passed, err)
		}
	}
}

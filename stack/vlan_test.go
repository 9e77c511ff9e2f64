package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// vlanLab has two VLANs over the wire beside what has no tag, with an address of each side on each.
func vlanLab(t *testing.T) *netlab.Lab {
	t.Helper()
	l := netlab.ForTest(t, netlab.Config{Name: "vlan", BothKernel: true})
	for host, side := range []*netlab.Side{l.Kernel, l.Stack} {
		if err := side.SetFeatures(false, "rx-vlan-hw-parse", "tx-vlan-hw-insert"); err != nil {
			t.Fatal(err)
		}
		for network, id := range []int{100, 101} {
			ip := &net.IPNet{IP: net.IPv4(10, 77, byte(network+1), byte(host+1)), Mask: net.CIDRMask(24, 32)}
			addVLAN(t, side, side.Interface, &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprint("xs-v", id)}, VlanId: id}, ip)
		}
	}
	return l
}

// addVLAN makes a VLAN's interface on another one, with an address if one is given. The test is skipped where the kernel has no
// VLANs.
func addVLAN(t *testing.T, side *netlab.Side, below string, v *netlink.Vlan, ip *net.IPNet) {
	t.Helper()
	err := side.Do(func() error {
		parent, err := netlink.LinkByName(below)
		if err != nil {
			return err
		}
		v.ParentIndex = parent.Attrs().Index
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(v); err != nil || ip == nil {
			return err
		}
		return netlink.AddrAdd(v, &netlink.Addr{IPNet: ip})
	})
	if errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skipf("needs a kernel with VLANs (8021q): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Do(func() error { return netlink.LinkDel(v) }) }) // A card is given back without.
}

// TestSharedVLAN shares a VLAN's address, while the kernel uses the VLAN too, another, and none.
func TestSharedVLAN(t *testing.T) {
	l := vlanLab(t)
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
	echoOn(t, l.Stack, addr(l.Stack.Address, 7777))
	echoOn(t, l.Kernel, "10.77.1.1:7")
	for what, at := range map[string]string{
		"to the stack": "10.77.1.2:7", "to the kernel on the VLAN": "10.77.1.2:22", "to the kernel on another": "10.77.2.2:7777",
		"to the kernel without a tag": addr(l.Stack.Address, 7777),
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
	const size = 512 << 10
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

// TestOwnAddressOnVLAN gives a stack an address of its own on a VLAN: it is found by ARP, pinged and connected to there, and only
// there.
func TestOwnAddressOnVLAN(t *testing.T) {
	l := vlanLab(t)
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
	echoOn(t, l.Stack, "10.77.1.2:7") // the kernel beside
	c, err := l.Kernel.Dial("tcp", "10.77.1.9:7")
	h := newChat(t, c, err)
	h.goesOn(t, "to the stack")
	h.end(t, "to the stack")
	c, err = l.Kernel.Dial("tcp", "10.77.1.2:7")
	h = newChat(t, c, err)
	h.goesOn(t, "to the kernel")
	h.end(t, "to the kernel")
	c, err = s.Dial("tcp", "10.77.1.1:9")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v", c, err)
	}
}

// TestVLANThatCannotBe opens stacks on VLANs that are not implemented.
func TestVLANThatCannotBe(t *testing.T) {
	l := vlanLab(t)
	addVLAN(t, l.Stack, l.Stack.Interface, &netlink.Vlan{
		LinkAttrs: netlink.LinkAttrs{Name: "xs-service"}, VlanId: 5, VlanProtocol: netlink.VLAN_PROTOCOL_8021AD,
	}, nil)
	addVLAN(t, l.Stack, "xs-v100", &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "xs-inner"}, VlanId: 7}, nil)
	for name, why := range map[string]string{"xs-service": "802.1ad", "xs-inner": "within the VLAN xs-v100"} {
		err := l.Stack.Do(func() error {
			s, err := Open(Config{Interface: name, Address: netip.MustParsePrefix("10.77.9.9/24")})
			if err == nil {
				s.Close()
			}
			return err
		})
		if !errors.Is(err, afxdp.ErrVLAN) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTaggedOverVeth has two stacks talk over a wire with tags, one of them on another VLAN too: the kernels need not know VLANs
// for that.
func TestTaggedOverVeth(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{Name: "tagged"})
	if !l.Veth() {
		t.Skip("needs a device that does not drop frames of VLANs that the kernel has not on it")
	}
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
	const size = 512 << 10
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

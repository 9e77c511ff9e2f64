package nexthop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// find asks on a side's interface.
func find(t *testing.T, side *netlab.Side, q Query) (a Answer, err error) {
	t.Helper()
	q.Interface = side.Interface
	err = side.Do(func() error {
		a, err = Find(t.Context(), q)
		return err
	})
	return a, err
}

// TestAsk asks from a side on which the kernel has no address.
func TestAsk(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "hop"})
	kernel := lab.Kernel.Address.Addr()
	for what, q := range map[string]Query{
		"nobody asks":    {Target: kernel},
		"somebody asks":  {Target: kernel, Source: lab.Stack.Address.Addr()},
		"given a router": {Target: netip.MustParseAddr("192.0.2.1"), Gateway: kernel},
	} {
		a, err := find(t, lab.Stack, q)
		if err != nil || a.MAC != ethernet.Addr(lab.Kernel.MAC) || a.Hop != kernel || a.How != "ARP" {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
	silent := netip.MustParseAddr("10.77.0.99")
	a, err := find(t, lab.Stack, Query{Target: silent, Source: lab.Stack.Address.Addr(), Tries: 2, Wait: 20 * time.Millisecond})
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "10.77.0.99") || !strings.Contains(err.Error(), lab.Stack.Interface) ||
		!strings.Contains(err.Error(), "2 requests") {
		t.Errorf("a silent target: %+v, %v", a, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err = lab.Stack.Do(func() error {
		_, err := Find(ctx, Query{Interface: lab.Stack.Interface, Target: silent, Wait: time.Hour})
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("when it is not to wait any more: %v", err)
	}
}

// TestKernelKnows has the kernel know neighbours and a route.
func TestKernelKnows(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "hop"})
	router := netip.MustParseAddr("10.77.0.50")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 50}
	err := lab.Kernel.Do(func() error {
		err := netlink.NeighSet(&netlink.Neigh{
			LinkIndex: lab.Kernel.Index, IP: router.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT,
		})
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: lab.Kernel.Index, Gw: router.AsSlice(),
			Dst: &net.IPNet{IP: net.IP{198, 51, 100, 0}, Mask: net.CIDRMask(24, 32)}})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"10.77.0.50", "198.51.100.7"} {
		a, err := find(t, lab.Kernel, Query{Target: netip.MustParseAddr(target)})
		if err != nil || a.MAC != ethernet.Addr(mac) || a.Hop != router || !strings.Contains(a.How, "neighbours") {
			t.Errorf("%s: %+v, %v", target, a, err)
		}
	}
}

func TestGroups(t *testing.T) {
	for target, want := range map[string]string{
		"255.255.255.255": "ff:ff:ff:ff:ff:ff",
		"224.0.0.251":     "01:00:5e:00:00:fb",
		"239.255.1.2":     "01:00:5e:7f:01:02",
	} {
		a, err := Find(t.Context(), Query{Target: netip.MustParseAddr(target)})
		if err != nil || a.MAC.String() != want {
			t.Errorf("%s: %v, %v", target, a.MAC, err)
		}
	}
	if _, err := Find(t.Context(), Query{Target: netip.MustParseAddr("::1")}); err == nil {
		t.Error("an IPv6 address")
	}
	if _, err := Find(t.Context(), Query{Interface: "xs-nowhere", Target: netip.MustParseAddr("10.0.0.1")}); err == nil {
		t.Error("no such interface")
	}
}

// TestSays has packets that are no answer.
func TestSays(t *testing.T) {
	hop := netip.MustParseAddr("10.77.0.1")
	mac := ethernet.Addr{2, 0, 0, 0, 0, 1}
	build := func(op ethernet.ARPOp, ip [4]byte) []byte {
		b := make([]byte, 60)
		h := ethernet.Header{Dst: ethernet.Broadcast, Src: mac, Type: ethernet.TypeARP}
		a := ethernet.ARP{Op: op, SenderMAC: mac, SenderIP: ip}
		a.Marshal(b[h.Marshal(b):])
		return b
	}
	good := build(ethernet.ARPReply, hop.As4())
	if got, ok := says(good, hop); !ok || got != mac {
		t.Errorf("%v, %v", got, ok)
	}
	for what, b := range map[string][]byte{
		"a request": build(ethernet.ARPRequest, hop.As4()),
		"another":   build(ethernet.ARPReply, [4]byte{10, 77, 0, 2}),
		"cut":       good[:30],
		"nothing":   nil,
	} {
		if got, ok := says(b, hop); ok {
			t.Errorf("%s: %v", what, got)
		}
	}
}

package kernelnet

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func ip(s string) net.IP {
	if s == "" {
		return nil
	}
	return net.ParseIP(s).To4()
}

// to makes a route to a prefix; "" is the default route's.
func to(prefix, gateway string, link, metric int) netlink.Route {
	r := netlink.Route{LinkIndex: link, Gw: ip(gateway), Priority: metric, Type: unix.RTN_UNICAST}
	if prefix != "" {
		_, r.Dst, _ = net.ParseCIDR(prefix)
	}
	return r
}

func snapshotOf(routes ...netlink.Route) *Snapshot {
	for i := range routes {
		routes[i].Table = unix.RT_TABLE_MAIN
	}
	p, _ := makePolicy([]rule{{action: ruleTable, table: unix.RT_TABLE_MAIN, suppress: -1}}, makeTables(routes, 7), "e", 0)
	return &Snapshot{MTU: 1500, policy: p, Addresses: []Address{
		{Prefix: netip.MustParsePrefix("169.254.1.1/16"), Scope: int(netlink.SCOPE_LINK)},
		{Prefix: netip.MustParsePrefix("10.0.0.5/24")},
		{Prefix: netip.MustParsePrefix("10.0.0.6/24"), Secondary: true},
		{Prefix: netip.MustParsePrefix("192.0.2.5/24")},
	}}
}

func TestPath(t *testing.T) {
	unreachable := to("198.18.0.0/16", "", 0, 0)
	unreachable.Type = unix.RTN_UNREACHABLE
	preferred := to("203.0.113.0/24", "10.0.0.1", 7, 0)
	preferred.Src, preferred.MTU = ip("192.0.2.5"), 1400
	wide := to("203.0.112.0/24", "", 7, 0)
	wide.MTU = 9000
	dead := to("198.51.100.0/25", "10.0.0.9", 7, 0)
	dead.Flags = unix.RTNH_F_LINKDOWN
	six := to("198.51.100.128/25", "", 7, 0)
	six.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::1")}
	local := to("10.0.0.5/32", "", 7, 0)
	local.Type = unix.RTN_LOCAL
	s := snapshotOf(
		to("0.0.0.0/0", "10.0.0.254", 7, 100), to("", "10.0.0.1", 7, 50), to("", "10.0.0.2", 8, 1),
		to("10.0.0.0/24", "", 7, 0), to("192.0.2.0/24", "", 7, 0),
		to("172.16.0.0/12", "192.0.2.1", 7, 0), to("172.16.5.0/24", "10.0.0.3", 7, 0), to("172.16.5.9/32", "10.0.0.4", 8, 0),
		unreachable, preferred, wide, dead, six, local,
	)
	for dst, want := range map[string]struct {
		hop, source string
		mtu         int
	}{
		"10.0.0.7":       {"10.0.0.7", "10.0.0.5", 1500},
		"192.0.2.7":      {"192.0.2.7", "192.0.2.5", 1500},
		"8.8.8.8":        {"10.0.0.1", "10.0.0.5", 1500}, // the least metric out of this interface
		"172.17.0.1":     {"192.0.2.1", "192.0.2.5", 1500},
		"172.16.5.1":     {"10.0.0.3", "10.0.0.5", 1500}, // the longest prefix
		"172.16.5.9":     {"10.0.0.3", "10.0.0.5", 1500}, // a longer one leads out of another interface
		"203.0.113.1":    {"10.0.0.1", "192.0.2.5", 1400},
		"203.0.112.1":    {"203.0.112.1", "10.0.0.5", 1500}, // no more than the link's; no network of ours: the first that is no link's
		"198.51.100.1":   {"10.0.0.1", "10.0.0.5", 1500},    // the gateway's link is down
		"198.51.100.129": {"10.0.0.1", "10.0.0.5", 1500},    // an IPv6 gateway
		"198.18.1.1":     {"", "", 0},
	} {
		p, ok := s.Path(netip.MustParseAddr(dst).As4())
		if ok != (want.hop != "") {
			t.Errorf("%s: %v, %v", dst, p, ok)
			continue
		}
		if ok && (p.Hop != netip.MustParseAddr(want.hop).As4() || p.Source != netip.MustParseAddr(want.source).As4() || p.MTU != want.mtu) {
			t.Errorf("%s: %v, want %v", dst, p, want)
		}
	}
	if p, ok := snapshotOf(to("10.0.0.0/24", "", 7, 0)).Path([4]byte{8, 8, 8, 8}); ok {
		t.Errorf("a way without a route: %v", p)
	}
}

// TestSeveralGateways spreads addresses over the hops of one route, each always to the same.
func TestSeveralGateways(t *testing.T) {
	r := to("", "", 0, 0)
	for gateway, weight := range map[string]int{"10.0.0.1": 1, "10.0.0.2": 3} {
		r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: 7, Gw: ip(gateway), Hops: weight - 1})
	}
	r.MultiPath = append(r.MultiPath,
		&netlink.NexthopInfo{LinkIndex: 7, Gw: ip("10.0.0.3"), Flags: unix.RTNH_F_DEAD},
		&netlink.NexthopInfo{LinkIndex: 8, Gw: ip("10.0.0.4")})
	s := snapshotOf(r)
	seen := map[[4]byte]int{}
	for i := range 4000 {
		a := [4]byte{100, 64, byte(i >> 8), byte(i)}
		p, ok := s.Path(a)
		again, _ := s.Path(a)
		if !ok || p != again {
			t.Fatalf("%v: %v, then %v, %v", a, p, again, ok)
		}
		seen[p.Hop]++
	}
	few, many := seen[[4]byte{10, 0, 0, 1}], seen[[4]byte{10, 0, 0, 2}]
	if len(seen) != 2 || few < 900 || few > 1100 || few+many != 4000 {
		t.Errorf("%v, want one to three", seen)
	}
}

func TestPathAllocatesNothing(t *testing.T) {
	s := snapshotOf(to("", "10.0.0.1", 7, 0), to("10.0.0.0/24", "", 7, 0))
	if n := testing.AllocsPerRun(100, func() { s.Path([4]byte{8, 8, 8, 8}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

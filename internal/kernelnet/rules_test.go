package kernelnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// kernelPath asks the kernel where packets go that a socket sends which is bound to the interface.
func kernelPath(t *testing.T, l *netlab.Lab, from, to netip.Addr) (hop, source netip.Addr, ok bool) {
	t.Helper()
	err := l.Stack.Do(func() error {
		o := &netlink.RouteGetOptions{Oif: l.Stack.Interface}
		if from.IsValid() {
			o.SrcAddr = from.AsSlice()
		}
		matched := *o
		matched.FIBMatch = true // else where no route leads the kernel takes it that the address is on the link, for such a socket
		if _, err := netlink.RouteGetWithOptions(to.AsSlice(), &matched); err != nil {
			return err
		}
		routes, err := netlink.RouteGetWithOptions(to.AsSlice(), o)
		if err != nil {
			return err
		}
		hop = to
		if a, isGateway := netip.AddrFromSlice(routes[0].Gw.To4()); isGateway {
			hop = a
		}
		source, _ = netip.AddrFromSlice(routes[0].Src.To4())
		return nil
	})
	for _, none := range []error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL} {
		if errors.Is(err, none) {
			return hop, source, false
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return hop, source, true
}

// asTheKernel compares the ways of a snapshot with what the kernel answers.
func asTheKernel(t *testing.T, l *netlab.Lab, s *Snapshot, to ...string) (different []string) {
	t.Helper()
	for _, text := range to {
		dst := netip.MustParseAddr(text)
		for _, from := range []netip.Addr{{}, netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("10.77.0.3"), netip.MustParseAddr("192.0.2.2")} {
			hop, source, ok := kernelPath(t, l, from, dst)
			var got Path
			var found bool
			if from.IsValid() {
				got, found = s.PathFrom(from.As4(), dst.As4())
				source = from
			} else {
				got, found = s.Path(dst.As4())
				if ok { // as connect does, once it knows the source
					hop, _, ok = kernelPath(t, l, source, dst)
				}
			}
			if found != ok || ok && (got.Hop != hop.As4() || got.Source != source.As4()) {
				different = append(different, fmt.Sprintf("from %v to %v: %v, %v; the kernel: via %v from %v, %v", from, dst, got, found, hop, source, ok))
			}
		}
	}
	return different
}

// manyRoutes follows the stack's side of a lab with a second interface, addresses of several networks, and several tables.
func manyRoutes(t *testing.T) (*Follower, *netlab.Lab) {
	t.Helper()
	f, _, l := follow(t)
	name := l.Stack.Interface
	run(t, l.Stack, "sh", "-ec", strings.ReplaceAll(`
		ip addr add 10.77.0.3/24 dev IFACE; ip addr add 192.0.2.2/24 dev IFACE
		ip link add xs-other type veth peer name xs-peer; ip link set xs-other up; ip link set xs-peer up
		ip addr add 10.78.0.2/24 dev xs-other
		ip route add default via 10.77.0.1 metric 100; ip route add default via 10.78.0.1 metric 50
		ip route add 203.0.113.0/24 via 10.77.0.7 src 192.0.2.2; ip route add 203.0.113.0/28 tos 0x10 via 10.77.0.6
		ip route add default via 10.77.0.100 table 100; ip route add 203.0.113.0/25 via 10.77.0.101 table 100
		ip route add default via 192.0.2.100 table 101; ip route add throw 203.0.113.64/26 table 101
		ip route add unreachable 203.0.113.128/26 table 101; ip route add prohibit 198.51.100.0/25 table 101
		ip route add 198.51.100.0/24 via 10.77.0.102 table 102; ip route add default via 10.78.0.9 table 102
		ip route add default via 10.78.0.8 table 103; ip route add 203.0.113.0/24 via 10.77.0.103 src 10.77.0.3 table 4000`,
		"IFACE", name))
	return f, l
}

var destinations = []string{"203.0.113.1", "203.0.113.70", "203.0.113.130", "203.0.113.250", "198.51.100.1", "198.51.100.200", "8.8.8.8", "192.0.2.9"}

// TestRulesAsTheKernel has policy rules of all kinds, made at random, and asks the kernel.
func TestRulesAsTheKernel(t *testing.T) {
	f, l := manyRoutes(t)
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, seed))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	eventually(t, "without rules: "+fmt.Sprint(asTheKernel(t, l, f.Snapshot(), destinations...)), func() bool {
		return len(asTheKernel(t, l, f.Snapshot(), destinations...)) == 0
	})
	for round := range 8 {
		var script strings.Builder
		for priority := 100; priority < 108; priority++ {
			fmt.Fprintf(&script, "ip rule add priority %d %s %s %s %s\n", priority, pick("", "", "", "not"),
				pick("from all", "from all", "from 10.77.0.3", "from 10.77.0.0/24", "from 192.0.2.2"),
				pick("", "", "to 203.0.113.0/24", "to 198.51.100.0/24", "oif "+l.Stack.Interface, "oif xs-other", "iif lo",
					"iif "+l.Stack.Interface, "fwmark 5", "fwmark 0/0xff"),
				pick("table 100", "table 101", "table 102", "table 103", "table 4000", "table main", "unreachable", "prohibit",
					fmt.Sprintf("goto %d", priority+1+rng.IntN(9)), "table main suppress_prefixlength 0", "table 100 suppress_prefixlength 0"))
		}
		run(t, l.Stack, "sh", "-ec", script.String())
		var different []string
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			if different = asTheKernel(t, l, f.Snapshot(), destinations...); len(different) == 0 {
				break
			}
		}
		if len(different) > 0 {
			t.Errorf("seed %d, round %d:\n%s\n%s", seed, round, script.String(), strings.Join(different, "\n"))
		}
		run(t, l.Stack, "sh", "-c", "for p in 100 101 102 103 104 105 106 107; do ip rule del priority $p; done")
	}
}

// TestVRF puts the interface into one.
func TestVRF(t *testing.T) {
	f, l := manyRoutes(t)
	vrf := l.Stack.Command(t.Context(), "ip", "link", "add", "xs-vrf", "type", "vrf", "table", "500")
	if out, err := vrf.CombinedOutput(); err != nil {
		t.Skipf("this kernel has no VRF: %s", out)
	}
	run(t, l.Stack, "sh", "-ec", "ip link set xs-vrf up; ip link set "+l.Stack.Interface+` master xs-vrf
		ip route add default via 10.77.0.200 table 500; ip route add unreachable 203.0.113.0/25 table 500`)
	eventually(t, "the table of the VRF", func() bool {
		s := f.Snapshot()
		return s.VRF && len(asTheKernel(t, l, s, destinations...)) == 0
	})
	if p, ok := f.Snapshot().Path([4]byte{8, 8, 8, 8}); !ok || p.Hop != [4]byte{10, 77, 0, 200} {
		t.Errorf("%v, %v", p, ok)
	}
}

// TestRulesThatAreIgnored says which rules are not followed.
func TestRulesThatAreIgnored(t *testing.T) {
	f, l := manyRoutes(t)
	run(t, l.Stack, "sh", "-ec", `ip rule add priority 90 ipproto tcp dport 443 table 100; ip rule add priority 91 uidrange 0-5 table 100
		ip rule add priority 92 tos 0x10 table 100`)
	eventually(t, "what is ignored", func() bool {
		return fmt.Sprint(f.Snapshot().Ignored) == "[90: dport, ipproto 91: uidrange 92: tos]"
	})
	err := l.Stack.Do(func() error {
		all, err := IgnoredRules(l.Stack.Interface)
		if len(all) != 3 {
			t.Errorf("ignored: %v", all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	run(t, l.Stack, "sh", "-ec", "for p in 90 91 92; do ip rule del priority $p; done")
	eventually(t, "nothing is ignored", func() bool { return len(f.Snapshot().Ignored) == 0 && !f.Snapshot().VRF })
}

// TestMasterRule looks at the rule that the kernel has for all VRFs, for an interface in one and for one in none.
func TestMasterRule(t *testing.T) {
	rules := []rule{
		{priority: 1000, action: ruleTable, master: true, suppress: -1}, {priority: 32766, action: ruleTable, table: unix.RT_TABLE_MAIN, suppress: -1},
	}
	main, vrf := to("", "10.0.0.1", 7, 0), to("", "10.0.0.2", 7, 0)
	main.Table, vrf.Table = unix.RT_TABLE_MAIN, 500
	tables := makeTables([]netlink.Route{main, vrf}, 7)
	for master, want := range map[uint32]byte{0: 1, 500: 2} {
		p, _ := makePolicy(rules, tables, "e", master)
		if h := p.find([4]byte{}, [4]byte{8, 8, 8, 8}); h == nil || h.gateway != [4]byte{10, 0, 0, want} {
			t.Errorf("master's table %d: %v", master, h)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add([]byte{2, 0, 24, 0, 254, 0, 0, 1, 0, 0, 0, 0, 8, 0, 2, 0, 10, 77, 0, 0, 8, 0, 6, 0, 100, 0, 0, 0})
	f.Add([]byte{2, 33, 0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 8, 0, 1, 0, 10, 77, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRule(b); err == nil && (r.from.bits&^r.from.mask != 0 || r.to.bits&^r.to.mask != 0) {
			t.Errorf("%x: %+v", b, r)
		}
	})
}

package bpf

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

func prefixOf(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// from returns a frame with another source address, which begins at byte 26.
func from(frame []byte, source string) []byte {
	frame = slices.Clone(frame)
	copy(frame[26:], netip.MustParseAddr(source).AsSlice())
	return frame
}

// loadFilter loads a program with a filter and a socket on queue 0.
func loadFilter(t testing.TB, cfg Config) *Program {
	t.Helper()
	cfg.Filter = true
	p := load(t, cfg)
	setSocket(t, p, 0)
	return p
}

func setRules(t testing.TB, p *Program, rules ...Rule) {
	t.Helper()
	for _, r := range rules {
		if err := p.SetRule(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilterRules(t *testing.T) {
	packet := func(proto uint8, fragment uint16) []byte {
		return ethernet(etherIPv4, ipv4{to: ours, proto: proto, fragment: fragment, payload: segment(ownedPort)}.bytes())
	}
	optioned := ethernet(etherIPv4, ipv4{to: ours, proto: protoTCP, options: 40, payload: segment(ownedPort)}.bytes())
	const denied, pardoned, trusted, other = "198.51.100.7", "198.51.100.200", "203.0.113.9", "192.0.2.1"

	tests := []struct {
		name        string
		frame       []byte
		own, shared steerReason
	}{
		{"TCP of a denied source", from(tcp(ours, ownedPort), denied), steerReasonDROP_DENIED, steerReasonDROP_DENIED},
		{"UDP", from(packet(protoUDP, 0), denied), steerReasonDROP_DENIED, steerReasonDROP_DENIED},
		{"ICMP", from(packet(protoICMP, 0), denied), steerReasonDROP_DENIED, steerReasonPASS_ICMP},
		{"SCTP", from(packet(protoSCTP, 0), denied), steerReasonDROP_DENIED, steerReasonPASS_PROTOCOL},
		{"fragment", from(packet(protoUDP, moreFrags), denied), steerReasonDROP_DENIED, steerReasonDROP_DENIED},
		{"with options", from(optioned, denied), steerReasonDROP_DENIED, steerReasonDROP_DENIED},
		{"for another port", from(tcp(ours, otherPort), denied), steerReasonDROP_DENIED, steerReasonPASS_PORT},
		{"for the kernel", from(tcp(theirs, ownedPort), denied), steerReasonPASS_ADDRESS, steerReasonPASS_PORT},
		{"unsound", with(from(tcp(ours, ownedPort), denied), 14, 0x44), steerReasonPASS_BAD_IPV4, steerReasonPASS_BAD_IPV4},
		{"ARP", ethernet(etherARP, arp(1, netip.MustParseAddr(denied), ours)), steerReasonREDIRECT_ARP, steerReasonPASS_ARP},
		{"allowed within a denied prefix", from(tcp(ours, ownedPort), pardoned), steerReasonREDIRECT_TCP, steerReasonREDIRECT_TCP},
		{"denied within an allowed prefix", from(tcp(ours, ownedPort), "203.0.113.66"), steerReasonDROP_DENIED, steerReasonDROP_DENIED},
		{"allowed", from(tcp(ours, ownedPort), trusted), steerReasonREDIRECT_TCP, steerReasonREDIRECT_TCP},
		{"of no rule", from(packet(protoUDP, 0), other), steerReasonREDIRECT_UDP, steerReasonREDIRECT_UDP},
	}
	for _, cfg := range []Config{{}, {Mode: SharedAddress}, {Fragments: true}, {Hints: true}, {MaxPrefixes: 1}} {
		p := loadFilter(t, cfg)
		setRules(t, p, Rule{Prefix: prefixOf("198.51.100.0/24")}, Rule{Prefix: prefixOf("198.51.100.192/26"), Verdict: Allow},
			Rule{Prefix: prefixOf("203.0.113.0/24"), Verdict: Allow}, Rule{Prefix: prefixOf("203.0.113.66/32")})
		for _, tt := range tests {
			want := tt.own
			if cfg.Mode == SharedAddress {
				want = tt.shared
			}
			if cfg.Hints && want < steerReasonPASS_NO_SOCKET {
				continue // the frame gets a note in front
			}
			t.Run(cfg.Mode.String()+"/"+tt.name, func(t *testing.T) { check(t, p, tt.frame, 0, want) })
		}
	}
}

// TestFilterWithoutSocket: where no socket receives the queue's frames, they are the kernel's, of a denied source too.
func TestFilterWithoutSocket(t *testing.T) {
	p := load(t, Config{Filter: true})
	setRules(t, p, Rule{Prefix: prefixOf("0.0.0.0/0")})
	check(t, p, tcp(ours, ownedPort), 0, steerReasonPASS_NO_SOCKET)
	setSocket(t, p, 0)
	check(t, p, tcp(ours, ownedPort), 0, steerReasonDROP_DENIED)
}

func TestFilterChanges(t *testing.T) {
	p := loadFilter(t, Config{MaxRules: 3})
	frame := tcp(ours, ownedPort) // from 10.77.0.1
	verdict := func(want steerReason) { t.Helper(); check(t, p, frame, 0, want) }
	verdict(steerReasonREDIRECT_TCP)
	setRules(t, p, Rule{Prefix: prefixOf("10.77.9.9/16")})
	verdict(steerReasonDROP_DENIED)
	verdict(steerReasonDROP_DENIED)
	setRules(t, p, Rule{Prefix: prefixOf("10.77.0.1/32"), Verdict: Allow})
	verdict(steerReasonREDIRECT_TCP)
	want := []Rule{{Prefix: prefixOf("10.77.0.0/16"), Dropped: 2}, {Prefix: prefixOf("10.77.0.1/32"), Verdict: Allow}}
	if got, err := p.Rules(); err != nil || !slices.Equal(got, want) {
		t.Errorf("rules %v, %v", got, err)
	}
	for i, prefix := range []string{"10.77.0.1/32", "10.77.0.1/32", "10.77.0.0/16"} {
		if found, err := p.RemoveRule(prefixOf(prefix)); err != nil || found != (i != 1) {
			t.Errorf("removed %s: %v, %v", prefix, found, err)
		}
	}
	verdict(steerReasonREDIRECT_TCP)
	if err := p.ReplaceRules(want); err != nil {
		t.Fatal(err)
	}
	verdict(steerReasonREDIRECT_TCP)
	setRules(t, p, Rule{Prefix: prefixOf("10.77.0.1/32")}) // in place of the one that allows
	verdict(steerReasonDROP_DENIED)

	four := []Rule{{Prefix: prefixOf("1.0.0.0/8")}, {Prefix: prefixOf("2.0.0.0/8")}, {Prefix: prefixOf("3.0.0.0/8")}, {Prefix: prefixOf("4.0.0.0/8")}}
	if err := p.ReplaceRules(four); !errors.Is(err, ErrTableFull) {
		t.Errorf("four rules of three: %v", err)
	}
	verdict(steerReasonDROP_DENIED) // the old ones hold
	if err := p.ReplaceRules(nil); err != nil {
		t.Fatal(err)
	}
	verdict(steerReasonREDIRECT_TCP)
	if got, err := p.Rules(); err != nil || len(got) != 0 {
		t.Errorf("rules %v, %v", got, err)
	}
}

// TestFilterReplacesAtOnce: a source that the old and the new rules deny gets nothing through while they change.
func TestFilterReplacesAtOnce(t *testing.T) {
	p := loadFilter(t, Config{})
	lists := [][]Rule{{{Prefix: prefixOf("10.0.0.0/8")}}, {{Prefix: prefixOf("10.77.0.0/16")}, {Prefix: prefixOf("192.0.2.0/24")}}}
	if err := p.ReplaceRules(lists[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for i := range 30 {
			err = errors.Join(err, p.ReplaceRules(lists[i%2]))
		}
		done <- err
	}()
	opts := ebpf.RunOptions{Data: tcp(ours, ownedPort), Repeat: 1000}
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		if _, err := p.objects.XdpSteer.Run(&opts); err != nil {
			t.Fatal(err)
		}
	}
	c, err := p.Counters()
	if err != nil || c.Redirected.TCP != 0 || c.Dropped.Denied == 0 {
		t.Errorf("counters %+v, %v", c, err)
	}
}

// TestFilterManyRules has as many as a list of a country's networks.
func TestFilterManyRules(t *testing.T) {
	p := loadFilter(t, Config{})
	rules := make([]Rule, 100_000)
	for i := range rules {
		rules[i] = Rule{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), 0}), 24)}
	}
	start := time.Now()
	if err := p.ReplaceRules(rules); err != nil {
		t.Fatal(err)
	}
	t.Logf("replaced by %d rules in %v", len(rules), time.Since(start))
	check(t, p, from(tcp(ours, ownedPort), "21.134.159.1"), 0, steerReasonDROP_DENIED) // the last one
	check(t, p, from(tcp(ours, ownedPort), "21.134.160.1"), 0, steerReasonREDIRECT_TCP)
	start = time.Now()
	if got, err := p.Rules(); err != nil || len(got) != len(rules) {
		t.Errorf("%d rules, %v", len(got), err)
	}
	t.Logf("listed in %v", time.Since(start))
}

func TestNoFilter(t *testing.T) {
	p := load(t, Config{})
	_, rules := p.Rules()
	_, offenders := p.Offenders(0)
	_, removed := p.RemoveRule(prefixOf("10.0.0.0/8"))
	for name, err := range map[string]error{
		"set": p.SetRule(Rule{Prefix: prefixOf("10.0.0.0/8")}), "replace": p.ReplaceRules(nil), "rates": p.SetRates(Rates{}), "rules": rules,
		"offenders": offenders, "remove": removed,
	} {
		if !errors.Is(err, ErrNoFilter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	with := loadFilter(t, Config{})
	for name, err := range map[string]error{
		"IPv6": with.SetRule(Rule{Prefix: prefixOf("2001:db8::/32")}), "none": with.SetRule(Rule{}),
		"in a list": with.ReplaceRules([]Rule{{Prefix: prefixOf("10.0.0.0/8")}, {}}),
	} {
		if !errors.Is(err, ErrNotIPv4) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := with.SetRates(Rates{SYNs: Rate{PerSecond: MaxRate + 1}}); err == nil {
		t.Error("a rate that is too high was set")
	}
}

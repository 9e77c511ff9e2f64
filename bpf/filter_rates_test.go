package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// syn is a segment that opens a connection.
func syn(source string) []byte { return from(with(tcp(ours, ownedPort), 14+20+13, 0x02), source) }

// let runs the program n times on a frame and returns how many it let in.
func let(t testing.TB, p *Program, frame []byte, n int) int {
	t.Helper()
	before, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.objects.XdpSteer.Run(&ebpf.RunOptions{Data: frame, Repeat: uint32(n)}); err != nil {
		t.Fatal(err)
	}
	after, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	return int(after.Redirected.TCP - before.Redirected.TCP)
}

func setRates(t testing.TB, p *Program, r Rates) {
	t.Helper()
	if err := p.SetRates(r); err != nil {
		t.Fatal(err)
	}
}

func TestSourceRates(t *testing.T) {
	p := loadFilter(t, Config{})
	slow := Rate{PerSecond: 1, Burst: 5} // slower than the test
	data, ack := from(tcp(ours, ownedPort), "192.0.2.1"), with(syn("192.0.2.1"), 14+20+13, 0x12)
	if n := let(t, p, syn("192.0.2.1"), 50); n != 50 {
		t.Errorf("without a limit %d of 50 SYNs were let in", n)
	}
	setRates(t, p, Rates{SYNs: slow})
	for source, want := range map[string]int{"192.0.2.1": 5, "192.0.2.2": 5} { // each has its own
		if n := let(t, p, syn(source), 50); n != want {
			t.Errorf("%d SYNs of %s were let in, want %d", n, source, want)
		}
	}
	check(t, p, syn("192.0.2.1"), 0, steerReasonDROP_SOURCE_SYN_RATE)
	if n := let(t, p, data, 50) + let(t, p, ack, 50); n != 100 {
		t.Errorf("%d of 100 other segments were let in", n)
	}
	setRates(t, p, Rates{Packets: slow})
	if n := let(t, p, data, 50); n != 5 {
		t.Errorf("%d packets were let in, want 5", n)
	}
	check(t, p, data, 0, steerReasonDROP_SOURCE_RATE)
	check(t, p, syn("192.0.2.1"), 0, steerReasonDROP_SOURCE_RATE)
	check(t, p, ethernet(etherARP, arp(1, netip.MustParseAddr("192.0.2.1"), ours)), 0, steerReasonREDIRECT_ARP)
	check(t, p, from(tcp(theirs, ownedPort), "192.0.2.1"), 0, steerReasonPASS_ADDRESS)
	setRules(t, p, Rule{Prefix: prefixOf("192.0.2.1/32"), Verdict: Allow})
	if n := let(t, p, data, 50); n != 50 {
		t.Errorf("%d of 50 packets of an allowed source were let in", n)
	}
	setRates(t, p, Rates{})
	if n := let(t, p, from(data, "192.0.2.3"), 50); n != 50 {
		t.Errorf("%d of 50 packets were let in after the limits were taken away", n)
	}
}

// TestSourceRateHolds sends for a while at many times the rate: what is let in is the burst, and no more than the rate's share of the time.
func TestSourceRateHolds(t *testing.T) {
	p := loadFilter(t, Config{})
	rate := Rate{PerSecond: 5000, Burst: 100}
	setRates(t, p, Rates{Packets: rate})
	frame := from(tcp(ours, ownedPort), "192.0.2.1")
	passed, start := 0, time.Now()
	for time.Since(start) < 300*time.Millisecond {
		passed += let(t, p, frame, 1000)
	}
	// When this is not run for long enough to fill the bucket, what came in that time is lost.
	if most := int(float64(rate.PerSecond)*time.Since(start).Seconds()) + int(rate.Burst) + 2; passed <= int(rate.Burst) || passed > most {
		t.Errorf("%d packets in %v, want at most %d", passed, time.Since(start), most)
	}
	time.Sleep(50 * time.Millisecond) // 250 at the rate, of which no more than the burst is kept
	start = time.Now()
	if n := let(t, p, frame, 300); n < int(rate.Burst) || n > int(rate.Burst)+1+int(float64(rate.PerSecond)*time.Since(start).Seconds()) {
		t.Errorf("%d packets after a pause, want the burst of %d", n, rate.Burst)
	}
}

// TestSpoofedSources: very many sources push each other out, and no more memory is taken.
func TestSpoofedSources(t *testing.T) {
	const most = 1024
	p := loadFilter(t, Config{MaxSources: most})
	setRates(t, p, Rates{SYNs: Rate{PerSecond: 1, Burst: 1}, Packets: Rate{PerSecond: 1, Burst: 1}})
	for i := range 20 * most {
		frame := syn(netip.AddrFrom4([4]byte{10, 99, byte(i >> 8), byte(i)}).String())
		for range 3 { // one at a time: before repeated runs the kernel waits for all CPUs
			if _, _, err := p.Test(frame, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	var key [4]byte
	var value steerSource
	n := 0
	for each := p.objects.Sources.Iterate(); each.Next(&key, &value); {
		n++
	}
	if n > most || n < most/2 {
		t.Errorf("%d sources are kept, want %d", n, most)
	}
	worst, err := p.Offenders(0)
	if err != nil || len(worst) > most/offenderRatio || len(worst) < most/offenderRatio/2 {
		t.Errorf("%d offenders, %v", len(worst), err)
	}
}

func TestOffenders(t *testing.T) {
	p := loadFilter(t, Config{})
	setRules(t, p, Rule{Prefix: prefixOf("198.51.100.0/24")})
	setRates(t, p, Rates{SYNs: Rate{PerSecond: 1, Burst: 1}, Packets: Rate{PerSecond: 1, Burst: 2000}})
	start := time.Now()
	let(t, p, from(tcp(ours, ownedPort), "198.51.100.7"), 1000)
	let(t, p, from(tcp(ours, ownedPort), "192.0.2.1"), 5000)
	let(t, p, syn("192.0.2.2"), 2000)
	let(t, p, from(tcp(ours, ownedPort), "192.0.2.3"), 10)
	all, err := p.Offenders(0)
	if err != nil || len(all) != 3 {
		t.Fatalf("offenders %+v, %v", all, err)
	}
	// A few packets may pass before a source is noticed; that these are more than 300 has a probability of 4e-18.
	for i, want := range []struct {
		source string
		got    uint64
		most   uint64
	}{
		{"192.0.2.1", all[0].Dropped.SourceRate, 3000}, {"192.0.2.2", all[1].Dropped.SourceSYNRate, 1999}, {"198.51.100.7", all[2].Dropped.Denied, 1000},
	} {
		o := all[i]
		if o.Source.String() != want.source || want.got != o.Total() || want.got > want.most || want.got < want.most-300 {
			t.Errorf("offender %d: %+v, want %s with %d", i, o, want.source, want.most)
		}
		if o.Last == 0 || time.Since(start) < 0 {
			t.Errorf("offender %d was never seen: %+v", i, o)
		}
	}
	if worst, err := p.Offenders(1); err != nil || len(worst) != 1 || worst[0].Source != all[0].Source {
		t.Errorf("the worst %+v, %v", worst, err)
	}
}

// BenchmarkFilter measures what a filter costs a frame: ns per frame as the kernel runs the program.
func BenchmarkFilter(b *testing.B) {
	limits := Rates{SYNs: Rate{PerSecond: MaxRate, Burst: 1 << 31}, Packets: Rate{PerSecond: MaxRate, Burst: 1 << 31}}
	many := make([]Rule, 100_000)
	for i := range many {
		many[i] = Rule{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), 0}), 24)}
	}
	for _, c := range []struct {
		name  string
		load  bool
		rules []Rule
		rates Rates
	}{
		{"none", false, nil, Rates{}}, {"off", true, nil, Rates{}}, {"1 rule", true, many[:1], Rates{}}, {"100000 rules", true, many, Rates{}},
		{"denied", true, []Rule{{Prefix: prefixOf("10.0.0.0/8")}}, Rates{}}, {"rates", true, nil, limits},
		{"over the rate", true, nil, Rates{Packets: Rate{PerSecond: 1, Burst: 1}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := load(b, Config{Filter: c.load})
			setSocket(b, p, 0)
			if c.load {
				setRates(b, p, c.rates)
				if err := p.ReplaceRules(c.rules); err != nil {
					b.Fatal(err)
				}
			}
			opts := ebpf.RunOptions{Data: tcp(ours, ownedPort), Repeat: uint32(b.N)}
			if _, err := p.objects.XdpSteer.Run(&opts); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkReplaceRules measures how long it takes to put a long list in force.
func BenchmarkReplaceRules(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := loadFilter(b, Config{})
			rules := make([]Rule, n)
			for i := range rules {
				rules[i] = Rule{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), 0}), 24)}
			}
			for b.Loop() {
				if err := p.ReplaceRules(rules); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestFilterState(t *testing.T) {
	p := loadFilter(t, Config{})
	for _, want := range []FilterState{
		{},
		{Rates: Rates{SYNs: Rate{PerSecond: 100, Burst: 10}}},
		{Rates: Rates{SYNs: Rate{PerSecond: 3, Burst: 1}, Packets: Rate{PerSecond: 1_000_000, Burst: 5000}}},
	} {
		if err := p.SetRates(want.Rates); err != nil {
			t.Fatal(err)
		}
		if got, err := p.FilterState(); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	setRules(t, p, Rule{Prefix: prefixOf("198.51.100.0/24")})
	if got, err := p.FilterState(); err != nil || !got.Rules {
		t.Errorf("with a rule: %+v, %v", got, err)
	}
	if _, err := load(t, Config{}).FilterState(); !errors.Is(err, ErrNoFilter) {
		t.Errorf("without a filter: %v", err)
	}
}

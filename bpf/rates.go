package bpf

import (
	"fmt"
	"math"
)

// Rate is how much each source may send: PerSecond on the average, and Burst at once after a pause. A PerSecond of 0 is no limit.
type Rate struct {
	PerSecond, Burst uint64
}

// MaxRate bounds Rate.PerSecond: the program counts in nanoseconds, and a rate beyond would be coarse.
const MaxRate = 10_000_000

// Rates are the filter's limits for each source: of the SYNs that it sends, and of all its packets.
type Rates struct {
	SYNs, Packets Rate
}

// SetRates sets the limits, which hold for the next packet. What the sources have sent before counts.
func (p *Program) SetRates(r Rates) error {
	if err := p.checkFilter(); err != nil {
		return err
	}
	for name, rate := range map[string]Rate{"SYNs": r.SYNs, "packets": r.Packets} {
		if rate.PerSecond > MaxRate || rate.Burst > math.MaxUint32 {
			return fmt.Errorf("bpf: rate of %s: %d/s with a burst of %d: at most %d and %d", name, rate.PerSecond, rate.Burst,
				MaxRate, uint32(math.MaxUint32))
		}
	}
	p.filter.mu.Lock()
	defer p.filter.mu.Unlock()
	s, _, err := p.rulesInForce()
	if err != nil {
		return err
	}
	s.Syns.Interval, s.Syns.Burst = r.SYNs.times()
	s.Packets.Interval, s.Packets.Burst = r.Packets.times()
	return p.setSettings(s)
}

// FilterState is what the filter does at present.
type FilterState struct {
	Rules bool // there are some
	Rates Rates
}

// FilterState returns what the filter does at present. It costs one look, however many rules there are.
func (p *Program) FilterState() (f FilterState, err error) {
	if err := p.checkFilter(); err != nil {
		return f, err
	}
	p.filter.mu.Lock()
	defer p.filter.mu.Unlock()
	s, _, err := p.rulesInForce()
	if err != nil {
		return f, err
	}
	return FilterState{Rules: s.Rules != 0, Rates: Rates{
		SYNs: rateOf(s.Syns.Interval, s.Syns.Burst), Packets: rateOf(s.Packets.Interval, s.Packets.Burst),
	}}, nil
}

// rateOf undoes times, as exactly as nanoseconds are.
func rateOf(interval, burst uint64) Rate {
	if interval == 0 {
		return Rate{}
	}
	return Rate{PerSecond: (1e9 + interval/2) / interval, Burst: burst/interval + 1}
}

// times returns the time between packets, and how far a source may be ahead of that, in ns: one packet is always let in.
func (r Rate) times() (interval, burst uint64) {
	if r.PerSecond == 0 {
		return 0, 0
	}
	interval = (1e9 + r.PerSecond/2) / r.PerSecond
	return interval, max(r.Burst, 1)*interval - interval
}

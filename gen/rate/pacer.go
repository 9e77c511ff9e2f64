package rate

import (
	"fmt"
	"math"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// DefaultCatchUp is how much of the schedule is made up for unless Config says otherwise: for longer an ordinary machine keeps no
// thread waiting.
const DefaultCatchUp = 100 * time.Millisecond

// Config describes a schedule.
type Config struct {
	Phases []Phase       // one after the other; one that does not end is the last. Default: Max, for ever
	WarmUp time.Duration // before them, at the rate at which they begin; default none
	Count  uint64        // how many packets may leave after the warm-up; default as many as the phases give
	Burst  int           // how many leave back to back, at the same mean rate; default 1
	// CatchUp is how much of the schedule is made up for when packets could not leave in time. They leave back to back then. What is
	// older is lost. Default 100 ms.
	CatchUp time.Duration
	Line    float64 // the line's rate in bits a second, for shares of it; default unknown
	Mean    float64 // bytes of a packet in the mean, FCS not counted, for rates in bits
	// Worker is one of Workers, from 0, that share the schedule. Default the only one.
	Worker, Workers int
}

// Pacer tells when packets may leave. It belongs to one goroutine.
type Pacer struct {
	phases  []course
	catchUp float64 // seconds
	burst   int

	phase     int
	warm      int        // phases that are warm-up
	start     clock.Time // of the present phase
	position  float64    // of the next packet, in units of the phase
	group     int        // packets that may leave at once, of a burst that has begun
	groupAt   float64    // the position at which it began
	remaining uint64     // packets after the warm-up
	bounded   bool       // by a count
	lost      uint64
}

// New makes a pacer. Start begins its schedule.
func New(cfg Config) (*Pacer, error) {
	p := &Pacer{
		catchUp: cfg.CatchUp.Seconds(), burst: max(cfg.Burst, 1), bounded: cfg.Count != 0, remaining: math.MaxUint64,
	}
	if cfg.CatchUp == 0 {
		p.catchUp = DefaultCatchUp.Seconds()
	}
	workers := max(cfg.Workers, 1)
	if cfg.Burst < 0 || cfg.CatchUp < 0 || cfg.WarmUp < 0 || cfg.Worker < 0 || cfg.Worker >= workers {
		return nil, fmt.Errorf("%w: a negative burst, time or worker, or worker %d of %d", ErrRate, cfg.Worker, workers)
	}
	phases := cfg.Phases
	if len(phases) == 0 {
		phases = []Phase{Constant(Max, 0)}
	}
	if cfg.WarmUp > 0 {
		phases = append([]Phase{Constant(phases[0].From, cfg.WarmUp)}, phases...)
		p.warm = 1
	}
	for n := range phases {
		c, err := phases[n].course(cfg.Line, cfg.Mean, workers)
		if err != nil {
			return nil, err
		}
		if phases[n].For == 0 && n != len(phases)-1 {
			return nil, fmt.Errorf("%w: %v without an end has more behind it", ErrRate, phases[n].From)
		}
		if c.perByte > 0 && cfg.Mean <= 0 {
			return nil, fmt.Errorf("%w: %v takes the mean length of packets", ErrRate, phases[n].From)
		}
		p.phases = append(p.phases, c)
	}
	if p.bounded {
		p.remaining = share(cfg.Count, cfg.Worker, workers)
	}
	p.position = p.phases[0].mean * float64(cfg.Worker*p.burst) / float64(workers)
	return p, nil
}

// share is a worker's part of a number of packets.
func share(n uint64, worker, workers int) uint64 {
	part := n / uint64(workers)
	if uint64(worker) < n%uint64(workers) {
		part++
	}
	return part
}

// Start begins the schedule at a time.
func (p *Pacer) Start(at clock.Time) {
	p.start = at
	p.settle()
}

// settle goes on to the phase in which the next packet leaves. What is left of a packet's cost goes along.
func (p *Pacer) settle() {
	for p.phase < len(p.phases) {
		c := &p.phases[p.phase]
		if p.position < c.total-c.tolerance() {
			return
		}
		p.next((p.position - c.total) / c.mean)
	}
}

// next begins the next phase at a position that is given in packets.
func (p *Pacer) next(packets float64) {
	c := &p.phases[p.phase]
	if math.IsInf(c.length, 1) { // with no rate: it lasts, and nothing leaves
		p.position, p.phase = math.Inf(1), len(p.phases)
		p.start = clock.Never
		return
	}
	p.start = p.start.Add(seconds(c.length))
	p.phase++
	p.group = 0
	if p.phase < len(p.phases) {
		p.position = max(packets, 0) * p.phases[p.phase].mean
	}
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

// Due returns how many packets may leave now, 0 if none. What is too old to be made up for it takes off the schedule.
func (p *Pacer) Due(now clock.Time) int {
	for p.phase < len(p.phases) && p.start <= now && p.left() > 0 {
		c := &p.phases[p.phase]
		t := float64(now.Sub(p.start)) * 1e-9
		if c.unlimited {
			if t >= c.length {
				p.next(0)
				continue
			}
			return p.limit(math.MaxInt32)
		}
		if late := t - p.catchUp; late > 0 && p.drop(c, c.units(min(late, c.length))) {
			continue
		}
		if p.group > 0 {
			return p.limit(p.group)
		}
		reached := c.units(min(t, c.length)) + c.tolerance()
		if reached < p.position {
			return 0
		}
		if p.burst > 1 {
			p.group, p.groupAt = p.burst, p.position
			return p.limit(p.group)
		}
		// A packet at the very end of a phase belongs to the next.
		n := min(reached-p.position, c.total-c.tolerance()-p.position) / c.mean
		return p.limit(int(min(n, math.MaxInt32-1)) + 1)
	}
	return 0
}

// drop takes those packets off the schedule that are before a position. It reports whether there were any.
func (p *Pacer) drop(c *course, before float64) bool {
	n := math.Floor((before - p.position) / c.mean)
	if p.group > 0 {
		if before < p.groupAt+c.mean {
			return false
		}
		n, p.group = float64(p.group), 0
	}
	if n < 1 {
		return false
	}
	p.position += n * c.mean
	p.lost += uint64(n)
	p.settle()
	return true
}

// left returns how many packets may leave in all from now on.
func (p *Pacer) left() uint64 {
	if p.Warm() {
		return math.MaxUint64
	}
	return p.remaining
}

func (p *Pacer) limit(n int) int { return int(min(uint64(n), p.left())) }

// Sent notes that packets leave, no more than were due, of so many bytes together, FCS not counted. It returns the times at which the
// first and the last of them were to leave; both are the zero Time where the schedule has none.
func (p *Pacer) Sent(n, bytes int) (first, last clock.Time) {
	if n <= 0 || p.phase == len(p.phases) {
		return 0, 0
	}
	c := &p.phases[p.phase]
	if p.bounded && !p.Warm() {
		p.remaining -= uint64(n)
	}
	if c.unlimited {
		return 0, 0
	}
	cost := c.packet*float64(n) + c.perByte*float64(bytes)
	if p.group > 0 {
		first = p.at(c, p.groupAt)
		last = first
		p.group -= n
	} else {
		first = p.at(c, p.position)
		last = first
		if n > 1 {
			last = p.at(c, p.position+cost*float64(n-1)/float64(n))
		}
	}
	p.position += cost
	if p.group == 0 {
		p.settle()
	}
	return first, last
}

// at returns the time of a position in the present phase.
func (p *Pacer) at(c *course, position float64) clock.Time {
	t := c.reached(position)
	if t > math.MaxInt64/2e9 {
		return clock.Never
	}
	return p.start.Add(time.Duration(math.Ceil(t*1e9 - 0.5)))
}

// Next returns when the next packet may leave, which may be past; after the last one, when the schedule ends, Never if it does not.
func (p *Pacer) Next() clock.Time {
	if p.phase == len(p.phases) {
		return p.start
	}
	c := &p.phases[p.phase]
	if c.unlimited {
		return p.start
	}
	if p.group > 0 {
		return p.at(c, p.groupAt)
	}
	return p.at(c, p.position)
}

// Over reports whether the schedule has come to its end: that of its last phase, or the time at which another packet would leave if
// the count allowed one.
func (p *Pacer) Over(now clock.Time) bool {
	if p.phase < len(p.phases) && p.left() > 0 {
		return false
	}
	return now >= p.Next()
}

// Warm reports whether the next packet belongs to the warm-up.
func (p *Pacer) Warm() bool { return p.phase < p.warm }

// Lost returns how many packets were taken off the schedule because they could not leave in time.
func (p *Pacer) Lost() uint64 { return p.lost }

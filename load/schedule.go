package load

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Arrivals is how the arrivals of an open loop are spaced.
type Arrivals uint8

// The kinds of arrivals.
const (
	Constant Arrivals = iota // evenly
	Poisson                  // independently of each other, as those of many users are
)

// String returns the name.
func (a Arrivals) String() string {
	if a == Poisson {
		return "poisson"
	}
	return "constant"
}

// Phase is a part of a run in which the rate of arrivals changes evenly from one value to another, or stays.
type Phase struct {
	From, To float64 // arrivals per second of all shards together
	For      time.Duration
}

// arrivals returns how many arrivals there are from the start of the phase until a time in it.
func (p *Phase) arrivals(at float64) float64 {
	return p.From*at + (p.To-p.From)/p.For.Seconds()/2*at*at
}

// when is the inverse of arrivals: the seconds after the phase's start at which there have been n.
func (p *Phase) when(n float64) float64 {
	slope := (p.To - p.From) / p.For.Seconds()
	switch {
	case n == 0:
		return 0
	case slope == 0:
		return n / p.From
	}
	// slope/2 t² + From t = n, in the form that does not subtract nearly equal numbers.
	return 2 * n / (p.From + math.Sqrt(max(p.From*p.From+2*slope*n, 0)))
}

// schedule says when one shard's arrivals are due.
//
// All phases together are a curve of how many arrivals there have been until each time. Constant arrivals are where it passes whole
// numbers; of these every n-th belongs to each of n shards, so that they are evenly spaced together. Poisson arrivals are where it passes
// numbers whose distances have an exponential distribution (the time change of a process whose rate varies); n shards draw theirs with
// distances n times as large, independently of each other.
type schedule struct {
	phases []Phase
	random *rand.Rand // nil: constant arrivals
	stride float64    // how far apart a shard's arrivals are, on average, in arrivals of all

	start  clock.Time // of the present phase
	before float64    // arrivals before it
	total  float64    // arrivals in it
	at     float64    // the next arrival's number, in arrivals of all
	next   clock.Time // and its time; Never: there are no more
}

// newSchedule makes the schedule of shard i of n. The phases are not empty.
func newSchedule(phases []Phase, kind Arrivals, i, n int, seed uint64, start clock.Time) *schedule {
	s := &schedule{phases: phases, stride: float64(n), start: start, at: float64(i)}
	if kind == Poisson {
		s.random = rand.New(rand.NewPCG(seed, uint64(i)))
		s.at = s.random.ExpFloat64() * s.stride
	}
	s.total = s.phases[0].arrivals(s.phases[0].For.Seconds())
	s.find()
	return s
}

// advance goes to the next arrival.
func (s *schedule) advance() {
	if s.random != nil {
		s.at += s.random.ExpFloat64() * s.stride
	} else {
		s.at += s.stride
	}
	s.find()
}

// find sets the time of the next arrival.
func (s *schedule) find() {
	for len(s.phases) > 0 {
		p := &s.phases[0]
		if n := s.at - s.before; n < s.total {
			s.next = s.start + clock.Time(p.when(n)*1e9)
			return
		}
		s.start, s.before = s.start.Add(p.For), s.before+s.total
		if s.phases = s.phases[1:]; len(s.phases) > 0 {
			s.total = s.phases[0].arrivals(s.phases[0].For.Seconds())
		}
	}
	s.next = clock.Never
}

// rateAt returns the rate that phases have at a time after their start.
func rateAt(phases []Phase, at time.Duration) float64 {
	for _, p := range phases {
		if at < p.For {
			return p.From + (p.To-p.From)*at.Seconds()/p.For.Seconds()
		}
		at -= p.For
	}
	return 0
}

// length returns how long phases take.
func length(phases []Phase) (d time.Duration) {
	for _, p := range phases {
		d += p.For
	}
	return d
}

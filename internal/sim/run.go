package sim

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Stepper is what uses a device: a shard of a stack.
type Stepper interface {
	// Step does one turn and reports whether there was anything to do.
	Step(now clock.Time) bool
	// Deadline returns when Step has something to do even if no packet arrives.
	Deadline() clock.Time
}

// stalledPoll is how long a stepper waits that has something to do at once but could do nothing, because a ring is full for
// example.
const stalledPoll = 20 * time.Microsecond

// Run lets time pass until the given time.
func (n *Network) Run(until clock.Time, steppers ...Stepper) {
	n.RunUntil(until, func() bool { return false }, steppers...)
}

// RunFor lets a duration pass.
func (n *Network) RunFor(d time.Duration, steppers ...Stepper) { n.Run(n.now.Add(d), steppers...) }

// RunUntil lets time pass until done reports true, which it returns then, or the limit has come. done is asked after each round.
func (n *Network) RunUntil(limit clock.Time, done func() bool, steppers ...Stepper) bool {
	for {
		n.happen()
		worked := false
		for _, s := range steppers {
			worked = s.Step(n.now) || worked
		}
		if done() {
			return true
		}
		if n.now >= limit {
			return false
		}
		n.now = min(n.nextTime(worked, steppers), limit)
	}
}

// nextTime returns when the next round is.
func (n *Network) nextTime(worked bool, steppers []Stepper) clock.Time {
	if worked {
		return n.now.Add(max(n.TurnTime, 1))
	}
	next := clock.Never
	for _, s := range steppers {
		d := s.Deadline()
		if d <= n.now {
			d = n.now.Add(stalledPoll)
		}
		next = min(next, d)
	}
	if len(n.events) > 0 {
		next = min(next, max(n.events[0].at, n.now+1))
	}
	return next
}

package rate

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Timeline tells the times of packets that have their own, one after the other, such as those of a capture.
type Timeline interface {
	// At returns when the next packet is to leave, in time since the start; false after the last one. The next is the one that was not
	// written yet.
	At() (time.Duration, bool)
}

// Replay is a schedule of packets that have times of their own. What a Pacer would take off its schedule is here a delay of all that
// follow: no packet of a capture is left out.
type Replay struct {
	times   Timeline
	catchUp time.Duration
	start   clock.Time
	slipped time.Duration
	last    clock.Time
}

// NewReplay makes a schedule of a timeline. Late packets are made up for up to catchUp, by default 100 ms.
func NewReplay(times Timeline, catchUp time.Duration) *Replay {
	if catchUp == 0 {
		catchUp = DefaultCatchUp
	}
	return &Replay{times: times, catchUp: catchUp}
}

// Start begins the schedule at a time.
func (r *Replay) Start(at clock.Time) { r.start, r.last = at, at }

// Due returns 1 if the next packet may leave now, else 0.
func (r *Replay) Due(now clock.Time) int {
	at, ok := r.times.At()
	if !ok || r.start.Add(at) > now {
		return 0
	}
	if late := now.Sub(r.start.Add(at)) - r.catchUp; late > 0 {
		r.start = r.start.Add(late)
		r.slipped += late
	}
	r.last = r.start.Add(at)
	return 1
}

// Sent notes that the packet leaves that was due, and returns when it was to.
func (r *Replay) Sent(int, int) (first, last clock.Time) { return r.last, r.last }

// Next returns when the next packet may leave; after the last one, when that was.
func (r *Replay) Next() clock.Time {
	if at, ok := r.times.At(); ok {
		return r.start.Add(at)
	}
	return r.last
}

// Over reports whether the last packet has left.
func (r *Replay) Over(clock.Time) bool {
	_, ok := r.times.At()
	return !ok
}

// Warm reports that nothing is left out of the count.
func (r *Replay) Warm() bool { return false }

// Lost returns 0: all packets leave.
func (r *Replay) Lost() uint64 { return 0 }

// Slipped returns by how much the schedule was put off because packets could not leave in time.
func (r *Replay) Slipped() time.Duration { return r.slipped }

package gen

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ReplayOptions say how a capture is replayed. The zero value replays it once, as it was captured, by one worker.
type ReplayOptions struct {
	Worker, Workers int     // which worker of how many: they take the packets in turn; 0 of 0 means the only one
	Loops           int     // how many times; 0 means once, a negative number for ever
	Speed           float64 // 2 is twice as fast as captured; 0 means 1
}

// ErrReplay is in errors about options that cannot be.
var ErrReplay = errors.New("gen: replay")

// Replay writes the packets of a capture, those of one worker, and tells when each is to leave. It is for one goroutine.
type Replay struct {
	c       *Capture
	workers int
	loops   int           // left, this one counted; negative: for ever
	i       int           // of the next packet
	start   time.Duration // of this loop
	speed   float64
	from    ReplayOptions
}

// Replay begins a replay.
func (c *Capture) Replay(o ReplayOptions) (*Replay, error) {
	workers := max(o.Workers, 1)
	if o.Worker < 0 || o.Worker >= workers {
		return nil, fmt.Errorf("%w: worker %d of %d", ErrReplay, o.Worker, workers)
	}
	if o.Speed < 0 || math.IsNaN(o.Speed) || o.Speed != 0 && (o.Speed < 1e-6 || o.Speed > 1e6) {
		return nil, fmt.Errorf("%w: speed %v: expected 0.000001 to 1000000", ErrReplay, o.Speed)
	}
	r := &Replay{c: c, workers: workers, from: o}
	r.Reset()
	return r, nil
}

// Reset lets the replay begin again.
func (r *Replay) Reset() {
	r.loops, r.speed, r.start, r.i = r.from.Loops, r.from.Speed, 0, 0
	if r.loops == 0 {
		r.loops = 1
	}
	if r.speed == 0 {
		r.speed = 1
	}
	r.forward(r.from.Worker)
}

// forward goes on by n packets of the capture, in the next loop if this one has no more.
func (r *Replay) forward(n int) {
	for r.i += n; r.i >= len(r.c.packets); {
		r.i -= len(r.c.packets)
		r.start += r.scaled(r.c.period)
		if r.loops > 0 {
			r.loops--
		}
	}
}

// Packets returns how many packets all workers replay together; 0 if there is no end.
func (r *Replay) Packets() uint64 {
	if r.from.Loops < 0 {
		return 0
	}
	return uint64(max(r.from.Loops, 1)) * uint64(len(r.c.packets))
}

// At returns when the next packet is to leave, in time since the start, as captured or scaled; false after the last one.
func (r *Replay) At() (time.Duration, bool) {
	return r.start + r.scaled(r.c.packets[r.i].at), r.loops != 0
}

// scaled returns a time of the capture as it is replayed.
func (r *Replay) scaled(d time.Duration) time.Duration {
	if r.speed == 1 {
		return d
	}
	return time.Duration(float64(d) / r.speed)
}

// Next writes the next packet to the start of b, which must have room for MaxLen bytes, and returns its length. Who has a schedule of his
// own need not look at At: after the last packet comes the first one again.
func (r *Replay) Next(b []byte, _ uint64) int {
	p := &r.c.packets[r.i]
	n := copy(b, r.c.data[p.off:p.off+p.len])
	r.forward(r.workers)
	return n
}

// MaxLen returns the length of the longest packet in bytes, without the frame check sequence.
func (r *Replay) MaxLen() int { return r.c.longest }

// MeanLen returns the mean length of the packets in bytes, without the frame check sequence.
func (r *Replay) MeanLen() float64 { return float64(len(r.c.data)) / float64(len(r.c.packets)) }

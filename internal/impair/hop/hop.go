package hop

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/impair"
)

// Config says what is joined, and how badly. Zero fields mean the defaults.
type Config struct {
	A, B   string        // the interfaces' names
	AB, BA impair.Config // what happens to frames from A to B, and from B to A
	Seed   uint64        // of all that is random
	Room   int           // frames that may be on their way in each direction; default 16384
}

// Stats counts what became of the frames that came from one side.
type Stats struct {
	impair.Stats
	Sent       uint64        `help:"frames sent on"`
	Refused    uint64        `help:"frames dropped: the link beyond did not take them"`
	Overrun    uint64        `help:"frames dropped: they came faster than they were taken"`
	NoRoom     uint64        `help:"frames dropped: too many were on their way"`
	Unfinished uint64        `help:"frames dropped: the sender's kernel left the checksum to an offload"`
	TooLong    uint64        `help:"frames dropped: longer than a frame of MTU 1500, as segmentation offload makes them"`
	Late       time.Duration `help:"by how much the frames left later than they should have, in total"`
	Latest     time.Duration `help:"by how much the worst did"`
}

// Hop is a forwarder.
type Hop struct {
	mu     sync.Mutex // held by Run while it works, not while it sleeps
	ab, ba direction
}

// direction is one way through.
type direction struct {
	impair.Direction
	from, to *port
	queue    queue
	counts   Stats // but those of the Direction
	batch    [][]byte
}

const (
	defaultRoom = 16384

	// nap bounds how long Run sleeps before it looks at its context.
	nap = 20 * time.Millisecond
)

// Open takes hold of the interfaces, of the caller's network namespace. Frames wait there until Run.
func Open(cfg Config) (*Hop, error) {
	if cfg.Room == 0 {
		cfg.Room = defaultRoom
	}
	a, err := openPort(cfg.A)
	if err != nil {
		return nil, err
	}
	b, err := openPort(cfg.B)
	if err != nil {
		a.close()
		return nil, err
	}
	h := &Hop{}
	h.ab = direction{from: a, to: b, queue: queue{room: cfg.Room}}
	h.ba = direction{from: b, to: a, queue: queue{room: cfg.Room}}
	h.Impair(cfg.AB, cfg.BA, cfg.Seed)
	return h, nil
}

// Impair changes what happens to frames that come from now on. What is random begins anew, with the seed.
func (h *Hop) Impair(ab, ba impair.Config, seed uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, d := range []*direction{&h.ab, &h.ba} {
		counted := d.Stats
		d.Direction = impair.NewDirection([]impair.Config{ab, ba}[i], seed, uint64(i))
		d.Stats = counted
	}
}

// Stats returns the counters of the frames from A to B and from B to A.
func (h *Hop) Stats() (ab, ba Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range []*direction{&h.ab, &h.ba} {
		d.counts.Overrun += d.from.dropped()
		d.counts.Stats = d.Stats
	}
	return h.ab.counts, h.ba.counts
}

// Close lets go of the interfaces. Run must have returned.
func (h *Hop) Close() {
	h.ab.from.close()
	h.ba.from.close()
}

// Run forwards until the context ends. What is on its way then is lost.
func (h *Hop) Run(ctx context.Context) error {
	// A thread that has been put before others is not given back: it ends with the goroutine.
	runtime.LockOSThread()
	if err := prefer(); err != nil {
		return err
	}
	fds := []unix.PollFd{{Fd: int32(h.ab.from.fd), Events: unix.POLLIN}, {Fd: int32(h.ba.from.fd), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		wait := h.turn()
		if wait <= 0 {
			continue
		}
		ts := unix.NsecToTimespec(int64(min(wait, nap)))
		if _, err := unix.Ppoll(fds, &ts, nil); err != nil && err != unix.EINTR {
			return fmt.Errorf("hop: wait: %w", err)
		}
		for i := range fds {
			if fds[i].Revents&unix.POLLERR != 0 { // The link went down. Asking for the error clears it; the link may come back.
				_, _ = unix.GetsockoptInt(int(fds[i].Fd), unix.SOL_SOCKET, unix.SO_ERROR)
			}
		}
	}
	return nil
}

// prefer puts the thread before all ordinary ones, as far as it may, and lets its timers be exact.
func prefer() error {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 10}, 0)
	if err != nil && err != unix.EPERM {
		return fmt.Errorf("hop: real-time priority: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("hop: timer slack: %w", err)
	}
	return nil
}

// turn takes what has come, sends what is due, and returns how long there is nothing to do unless a frame comes.
func (h *Hop) turn() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &ts) // it cannot fail
	wall := time.Duration(ts.Nano()) - time.Duration(clock.Now())
	more := h.ab.take(wall)
	more = h.ba.take(wall) || more
	h.ab.sendDue()
	h.ba.sendDue()
	if more {
		return 0
	}
	next := min(h.ab.queue.next(), h.ba.queue.next())
	return next.Sub(clock.Now())
}

// take decides about the frames that have come, a bounded number, and reports whether there may be more. wall is what the real-time
// clock is ahead.
func (d *direction) take(wall time.Duration) bool {
	for range sendBatch {
		s, ok := d.from.receive()
		if !ok {
			return false
		}
		d.enter(&s, clock.Time(time.Duration(s.sec)*time.Second+time.Duration(s.nsec)-wall))
		s.release()
	}
	return true
}

// enter takes one frame that came at a time.
func (d *direction) enter(s *slot, at clock.Time) {
	switch {
	case s.truncated || len(s.frame) > maxFrame || len(s.frame) == 0:
		d.counts.TooLong++
		return
	case !s.whole:
		d.counts.Unfinished++
		return
	}
	f := d.Decide(at, s.frame)
	for range f.Copies {
		b := d.queue.buffer(len(s.frame))
		if b == nil {
			d.counts.NoRoom++
			return
		}
		copy(b, s.frame)
		f.Damage(b)
		d.queue.push(f.At, b)
	}
}

// sendDue sends what is due.
func (d *direction) sendDue() {
	now := clock.Now()
	for d.queue.next() <= now {
		d.batch = d.batch[:0]
		for len(d.batch) < sendBatch && d.queue.next() <= now {
			late := now.Sub(d.queue.next())
			d.counts.Late += late
			d.counts.Latest = max(d.counts.Latest, late)
			d.batch = append(d.batch, d.queue.pop())
		}
		refused := d.to.send(d.batch)
		d.counts.Refused += uint64(refused)
		d.counts.Sent += uint64(len(d.batch) - refused)
		for _, b := range d.batch {
			d.queue.recycle(b)
		}
	}
}

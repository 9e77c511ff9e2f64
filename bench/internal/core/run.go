package core

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// Result is one measurement. What is counted is segments of peer.Payload bytes or, with Connect, connections.
type Result struct {
	Count  uint64  `json:"count"`
	Nanos  float64 `json:"ns"`      // processor time of the whole process for each, the collector included
	Wall   float64 `json:"wall_ns"` // elapsed time
	Allocs float64 `json:"allocs"`  // heap objects
	Bytes  float64 `json:"bytes"`   // heap bytes
	Frames float64 `json:"frames"`  // frames that the stack sent: acknowledgements, or data with what goes with it
}

// patience is how long the harness waits for a stack that does nothing.
const patience = 2 * time.Second

// Run has the target do the work, first to warm it up, then to measure it for about the given time. It calls begin in between.
func Run(t Target, w Work, warmup, length time.Duration, begin func() error) (Result, error) {
	h := newHarness(t, w)
	if err := h.script.open(h); err != nil {
		return Result{}, err
	}
	if err := h.measure(warmup, nil); err != nil {
		return Result{}, err
	}
	runtime.GC()
	if err := begin(); err != nil {
		return Result{}, err
	}
	var r Result
	err := h.measure(length, &r)
	return r, err
}

// script is a kind of work as the stack's peer sees it.
type script interface {
	// open does what has to be done before anything is counted.
	open(h *harness) error
	// step does a batch and returns how many segments or connections it was.
	step(h *harness) (uint64, error)
}

// end is a peer's end of the link.
type end interface {
	Take(head []byte, size int)
	Asked() bool
	ARPReply(b []byte) int
	Failure() error
}

type harness struct {
	target Target
	script script
	peer   end
	frames uint64
	take   func(head []byte, size int)
}

func newHarness(t Target, w Work) *harness {
	h := &harness{target: t}
	if w == Connect {
		p := peer.NewShort(peer.DefaultConfig(w.Port()))
		h.peer, h.script = p, &connecting{peer: p}
	} else {
		p := peer.New(peer.DefaultConfig(w.Port()))
		h.peer, h.script = p, newBulk(p, w)
	}
	h.take = func(head []byte, size int) {
		h.frames++
		h.peer.Take(head, size)
	}
	return h
}

// turn lets the stack run once and answers its ARP requests.
func (h *harness) turn() {
	h.target.Work(h.take)
	if h.peer.Asked() {
		h.target.Deliver(1, h.peer.ARPReply)
	}
}

// until turns until the condition holds.
func (h *harness) until(what string, cond func() bool) error {
	if cond() {
		return h.peer.Failure()
	}
	for end, i := time.Now().Add(patience), 0; ; i++ {
		h.turn()
		if err := h.peer.Failure(); err != nil || cond() {
			return err
		}
		if i%1024 == 0 && time.Now().After(end) {
			return fmt.Errorf("core: no %s within %v", what, patience)
		}
	}
}

// measure works for about the given time and fills in r, if there is one.
func (h *harness) measure(length time.Duration, r *Result) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	frames, count := h.frames, uint64(0)
	cpu, start := processTime(), time.Now()
	for time.Since(start) < length {
		for range 16 { // the clock is read once for a thousand segments
			n, err := h.script.step(h)
			if err != nil {
				return err
			}
			count += n
		}
	}
	wall := time.Since(start)
	used := processTime() - cpu
	runtime.ReadMemStats(&after)
	if count == 0 {
		return errors.New("core: nothing at all was done")
	}
	if n := float64(count); r != nil {
		*r = Result{
			Count:  count,
			Nanos:  float64(used) / n,
			Wall:   float64(wall) / n,
			Allocs: float64(after.Mallocs-before.Mallocs) / n,
			Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
			Frames: float64(h.frames-frames) / n,
		}
	}
	return nil
}

func processTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

package core

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// Batch is how many segments are delivered together: even, so that a receiver that acknowledges every second segment owes nothing
// after a batch.
const Batch = 64

// Result is one measurement. Times are per segment of peer.Payload bytes.
type Result struct {
	Segments uint64  `json:"segments"`
	Nanos    float64 `json:"ns"`      // processor time of the whole process, the collector included
	Wall     float64 `json:"wall_ns"` // elapsed time
	Allocs   float64 `json:"allocs"`  // heap objects
	Bytes    float64 `json:"bytes"`   // heap bytes
	Frames   float64 `json:"frames"`  // frames that the stack sent: acknowledgements, or data with what goes with it
}

// patience is how long the harness waits for a stack that does nothing.
const patience = 2 * time.Second

// Run opens a connection to the target, warms it up and measures it for about the given time.
func Run(t Target, w Work, warmup, length time.Duration) (Result, error) {
	h := &harness{target: t, work: w, peer: peer.New(peer.DefaultConfig(w.Port()))}
	h.take = h.takeFrame
	h.data, h.ack = h.peer.Data, h.peer.Ack
	if err := h.open(); err != nil {
		return Result{}, err
	}
	if err := h.measure(warmup, nil); err != nil {
		return Result{}, err
	}
	runtime.GC()
	var r Result
	err := h.measure(length, &r)
	return r, err
}

type harness struct {
	target    Target
	work      Work
	peer      *peer.Peer
	frames    uint64
	segments  uint64
	take      func(head []byte, size int)
	data, ack func(b []byte) int
}

func (h *harness) takeFrame(head []byte, size int) {
	h.frames++
	h.peer.Take(head, size)
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
		return h.peer.Err
	}
	for end, i := time.Now().Add(patience), 0; ; i++ {
		h.turn()
		if h.peer.Err != nil || cond() {
			return h.peer.Err
		}
		if i%1024 == 0 && time.Now().After(end) {
			return fmt.Errorf("core: no %s within %v", what, patience)
		}
	}
}

func (h *harness) open() error {
	h.target.Deliver(1, h.peer.SYN)
	if err := h.until("answer to the SYN", func() bool { return h.peer.Established }); err != nil {
		return err
	}
	h.target.Deliver(1, h.ack)
	h.turn()
	return h.peer.Err
}

// measure works for about the given time and fills in r, if there is one.
func (h *harness) measure(length time.Duration, r *Result) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	segments, frames := h.segments, h.frames
	cpu, start := processTime(), time.Now()
	step := h.receive
	if h.work == Send {
		step = h.send
	}
	for time.Since(start) < length {
		for range 16 { // the clock is read once for a thousand segments
			if err := step(); err != nil {
				return err
			}
		}
	}
	wall := time.Since(start)
	used := processTime() - cpu
	runtime.ReadMemStats(&after)
	n := float64(h.segments - segments)
	if n == 0 {
		return errors.New("core: not a single segment was processed")
	}
	if r != nil {
		*r = Result{
			Segments: h.segments - segments,
			Nanos:    float64(used) / n,
			Wall:     float64(wall) / n,
			Allocs:   float64(after.Mallocs-before.Mallocs) / n,
			Bytes:    float64(after.TotalAlloc-before.TotalAlloc) / n,
			Frames:   float64(h.frames-frames) / n,
		}
	}
	return nil
}

// receive delivers a batch and waits until the stack has acknowledged it.
func (h *harness) receive() error {
	if err := h.until("room in the window", h.hasRoom); err != nil {
		return err
	}
	n := min(h.peer.Room(), Batch) &^ 1 // less than a batch before the first scaled window is known
	h.target.Deliver(n, h.data)
	h.segments += uint64(n)
	return h.until("acknowledgement", h.acknowledged)
}

func (h *harness) hasRoom() bool      { return h.peer.Room() >= 2 }
func (h *harness) acknowledged() bool { return h.peer.InFlight() <= peer.Payload }

// send waits for segments and acknowledges them.
func (h *harness) send() error {
	if err := h.until("segment", h.owesAck); err != nil {
		return err
	}
	h.segments = h.peer.Received / peer.Payload // an odd size counts by its bytes
	n := h.peer.Due()
	if n == 0 {
		n = 1 // a lone segment, acknowledged as by a delayed acknowledgement
	}
	h.target.Deliver(n, h.ack)
	return h.peer.Err
}

func (h *harness) owesAck() bool { return h.peer.Unacked() > 0 }

func processTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

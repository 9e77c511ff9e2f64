package scale

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// Scattered is what a segment costs that comes to one of so many connections.
type Scattered struct {
	Connections int     `json:"connections"`
	Nanos       float64 `json:"ns"` // processor time in the stack for each segment
	Segments    uint64  `json:"segments"`
	Sent        float64 `json:"sent"` // frames that the stack sent for each
}

// Scatter opens more and more connections, and with each number of them delivers full segments in order to connections that are drawn at
// random, each with the same probability. The time is the processor's in the stack alone: what the client does, which touches a
// connection of its own for each segment, is not in it.
func Scatter(t core.Target, counts []int, warmup, length time.Duration, begin func() error) ([]Scattered, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := newClient(t, slices.Max(counts))
	rnd := rand.New(rand.NewPCG(1, 2))
	var found []Scattered
	for i, n := range counts {
		if err := c.open(n); err != nil {
			return found, err
		}
		if i == 0 {
			if err := begin(); err != nil {
				return found, err
			}
		}
		s := scatter{client: c, n: n, rnd: rnd}
		s.run(warmup/2, batch/2) // The window of a new connection has no room for a batch of full segments.
		s.run(warmup/2, batch)
		s.used, s.segments, s.sent = 0, 0, 0
		s.run(length, batch)
		if err := s.check(); err != nil {
			return found, fmt.Errorf("%d connections: %w", n, err)
		}
		found = append(found, Scattered{
			Connections: n, Nanos: float64(s.used) / float64(s.segments), Segments: s.segments,
			Sent: float64(s.sent) / float64(s.segments),
		})
	}
	return found, nil
}

type scatter struct {
	*client
	n        int
	rnd      *rand.Rand
	used     time.Duration
	segments uint64
	sent     uint64
}

// run delivers segments for about so long, so many at a time.
func (s *scatter) run(length time.Duration, each int) {
	next := func(b []byte) int { return s.peer.Data(b, s.rnd.IntN(s.n)) }
	take := func(head []byte, size int) {
		s.sent++
		if size < peer.HeaderSize {
			s.peer.Take(head, size) // no acknowledgement: the stack looks for the gateway again
		}
	}
	for end := time.Now().Add(length); ; {
		s.peer.Tick()
		s.answer()
		s.target.Deliver(each, next)
		start := threadTime()
		s.target.Work(take)
		s.used += threadTime() - start
		s.segments += uint64(each)
		if time.Now().After(end) {
			return
		}
	}
}

func threadTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// check delivers one more segment to each of some connections and waits until the stack has acknowledged it: nothing was lost.
func (s *scatter) check() error {
	for range 100 {
		slot := s.rnd.IntN(s.n)
		s.target.Deliver(1, func(b []byte) int { return s.peer.Data(b, slot) })
		acked := false
		for end, turns := time.Now().Add(patience), 0; !acked; turns++ {
			s.target.Work(func(head []byte, size int) {
				s.peer.Take(head, size)
				acked = acked || s.peer.AckedSlot(head) == slot
			})
			s.answer()
			if err := s.peer.Failure(); err != nil {
				return err
			}
			if turns > leastTurns && time.Now().After(end) {
				return fmt.Errorf("connection %d does not acknowledge what it got", slot)
			}
		}
	}
	return nil
}

package stack

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// pulse tells others that a shard turns.
type pulse struct {
	asked atomic.Bool   // a beat waits in the mailbox
	beats atomic.Uint64 // turns in which one was found there
}

// pulsePoll is the time between two looks at a shard that has been asked.
const pulsePoll = time.Millisecond

// Turning returns nil once every shard has done a turn since it was called, and an error if one has not when ctx is done: it is stuck in a
// handler, or starved of its CPU. What is asked of a stuck shard does not pile up.
func (s *Stack) Turning(ctx context.Context) error {
	before := make([]uint64, len(s.shards))
	for i, sh := range s.shards {
		before[i] = sh.pulse.beats.Load()
		sh.askBeat()
	}
	for i, sh := range s.shards {
		for sh.pulse.beats.Load() == before[i] {
			sh.askBeat() // again, if the mailbox was full
			select {
			case <-sh.done:
				return errClosed
			case <-ctx.Done():
				return fmt.Errorf("stack: shard %d does not turn: a handler of it blocks, or it gets no CPU", i)
			case <-time.After(pulsePoll):
			}
		}
	}
	return nil
}

// askBeat has the shard's next turn count, if there is room in its mailbox.
func (s *Shard) askBeat() {
	if s.pulse.asked.Swap(true) {
		return
	}
	if !s.mailbox.Push(command{call: (*Shard).beat}) {
		s.pulse.asked.Store(false)
	}
	s.wake()
}

func (s *Shard) beat() {
	s.pulse.asked.Store(false)
	s.pulse.beats.Add(1)
}

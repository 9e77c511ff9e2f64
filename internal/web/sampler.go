package web

import (
	"context"
	"errors"
	"sync"
	"time"
)

// freshness is for how long an answer serves everybody, unless the configuration says otherwise: however many watch, the shards are asked
// no more than so often.
const freshness = 200 * time.Millisecond

// patience is how long the shards may take to answer. One that does not, hangs in a handler.
const patience = 5 * time.Second

var errStuck = errors.New("a shard does not answer: a handler of it blocks, or it has no processor time")

// sampler asks for something, and gives the answer to all who ask within a time.
type sampler[T any] struct {
	take  func() (T, error)
	fresh time.Duration

	mu   sync.Mutex
	last *sample[T]
}

// sample is one answer, or the wait for it.
type sample[T any] struct {
	begun time.Time
	done  chan struct{}
	value T
	err   error
}

// get returns an answer that is fresh. While the last question is not answered no other is asked.
func (s *sampler[T]) get(ctx context.Context) (value T, err error) {
	p := s.sample(time.Now())
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.value, p.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	case <-timer.C:
		return value, errStuck
	}
}

func (s *sampler[T]) sample(now time.Time) *sample[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.last; p != nil {
		select {
		case <-p.done:
			if now.Sub(p.begun) < s.fresh {
				return p
			}
		default:
			return p
		}
	}
	p := &sample[T]{begun: now, done: make(chan struct{})}
	s.last = p
	go func() {
		defer close(p.done)
		p.value, p.err = s.take()
	}()
	return p
}

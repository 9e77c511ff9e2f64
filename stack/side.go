package stack

import (
	"net"
	"os"
	"sync"
	"time"
)

// side is what the two directions of a TCPConn have in common: a lock that is held for a few instructions, a place to wait, and
// what ends the waiting. One wait for everything is cheaper than a channel for each reason, and needs no memory until somebody
// waits.
type side struct {
	mu      sync.Mutex
	changed sync.Cond // of mu
	closed  bool      // Close was called
	expired bool      // the deadline has passed
	armed   bool      // the timer runs, until due
	err     error     // why the connection is over

	deadline time.Time // zero: none
	due      time.Time
	timer    *time.Timer // made when it is first needed

	watch chan struct{} // of one who waits for both directions of two connections: see splice
}

func (s *side) init() { s.changed.L = &s.mu }

// refusal returns the error of a call that must not begin or go on, or nil. The caller holds mu.
func (s *side) refusal() error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// close ends every call that waits, and reports whether it was the first to do so.
func (s *side) close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.wakeAll()
	return true
}

// end notes why the connection is over, the first time, and ends every call that waits.
func (s *side) end(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.wakeAll()
	s.mu.Unlock()
}

// setDeadline moves the deadline; the zero time takes it away. The timer is left alone where it goes off early enough: callers
// that move their deadline ahead with each message do not pay for it each time.
func (s *side) setDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.deadline, s.expired = at, false
	if at.IsZero() {
		return nil
	}
	wait := time.Until(at)
	switch {
	case wait <= 0:
		s.expire()
	case s.timer == nil:
		s.timer = time.AfterFunc(wait, s.alarm)
		s.armed, s.due = true, at
	case !s.armed || at.Before(s.due):
		s.arm(wait)
	}
	return nil
}

func (s *side) arm(wait time.Duration) {
	s.timer.Reset(wait)
	s.armed, s.due = true, s.deadline
}

func (s *side) expire() {
	s.expired = true
	s.wakeAll()
}

// wakeAll wakes everybody who waits, to see what has changed. The caller holds mu.
func (s *side) wakeAll() {
	s.changed.Broadcast()
	if s.watch != nil {
		signal(s.watch)
	}
}

// signal leaves a token in a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watched has wakeAll leave a token in the channel, too; nil ends that.
func (s *side) watched(c chan struct{}) {
	s.mu.Lock()
	s.watch = c
	s.mu.Unlock()
}

// alarm runs when the timer goes off, perhaps before a deadline that was moved since.
func (s *side) alarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	if s.closed || s.deadline.IsZero() {
		return
	}
	if wait := time.Until(s.deadline); wait > 0 {
		s.arm(wait)
		return
	}
	s.expire()
}

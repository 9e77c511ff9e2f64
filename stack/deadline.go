package stack

import (
	"sync"
	"time"
)

// deadline is a point of time that can be moved, with a channel that is closed when it has passed. The zero deadline is not set.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	passed  chan struct{}
	expired bool
}

// set moves the deadline; the zero time takes it away.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.expired || d.passed == nil {
		// A timer of before may still close the old channel: give it one that nobody waits on any more.
		d.passed, d.expired = make(chan struct{}), false
	}
	if t.IsZero() {
		return
	}
	passed := d.passed
	if wait := time.Until(t); wait > 0 {
		var timer *time.Timer
		timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.timer == timer {
				d.expired = true
				close(passed)
			}
		})
		d.timer = timer
		return
	}
	d.expired = true
	close(passed)
}

// done returns the channel that is closed once the deadline has passed.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

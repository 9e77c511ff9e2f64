package receive

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// worker receives from one queue, on a goroutine of its own.
type worker struct {
	queue   afxdp.Queue
	pool    *frame.Pool
	handler Handler
	spin    time.Duration
	sends   bool // what it receives, sometimes

	stopping atomic.Bool
	done     chan struct{}
	err      error

	mu       sync.Mutex // held for a turn, and by who takes a snapshot
	counters Counters
	stats    afxdp.Stats // the queue's after the last turn: it counts its sleeps outside of turns
	tai      clock.TAI
	batch    [batchLen]frame.Desc
	responder
}

const (
	longestSleep = 100 * time.Millisecond // so that a stop is not missed
	quietTime    = 3 * time.Millisecond   // without a packet, at the end: what was redirected is in the ring by then
	downSleep    = 10 * time.Millisecond
)

// loop receives until the worker is stopped and its ring empty. The error is of a queue that is of no use any more.
func (w *worker) loop() error {
	var idle clock.Time // since when nothing came; 0: something did
	for {
		n, err := w.turn()
		if err != nil && !errors.Is(err, afxdp.ErrInterfaceDown) {
			return err
		}
		if n > 0 {
			idle = 0
			continue
		}
		now := clock.Now()
		if idle == 0 {
			idle = now
		}
		stopping := w.stopping.Load()
		switch {
		case stopping && now.Sub(idle) >= quietTime:
			return nil
		case err != nil:
			time.Sleep(downSleep)
		case stopping:
			time.Sleep(quietTime / 10)
		case now.Sub(idle) >= w.spin:
			if err := w.sleep(); err != nil {
				return err
			}
		}
	}
}

// sleep waits for a packet. An error is of an interface that is gone; a link that is down comes back.
func (w *worker) sleep() error {
	w.mu.Lock()
	w.counters.Sleeps++
	w.mu.Unlock()
	if err := w.queue.Wait(longestSleep); err != nil && !errors.Is(err, afxdp.ErrInterfaceDown) {
		return err
	}
	return nil
}

// turn takes a batch and does with it what is to be done.
func (w *worker) turn() (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = w.queue.Receive(w.batch[:]); n > 0 {
		w.handle(w.batch[:n])
	}
	if w.sends {
		if err = w.queue.Flush(); err != nil {
			w.counters.LinkDown++
		}
	}
	w.queue.Recycle()
	w.stats = *w.queue.Stats()
	return n, err
}

// handle handles a batch.
func (w *worker) handle(batch []frame.Desc) {
	replies := 0
	if w.answers {
		batch, replies = w.answer(batch, w.pool, &w.counters)
	}
	send := 0
	switch {
	case len(batch) == 0:
	case w.handler == nil:
		w.counters.Dropped += uint64(packets(batch))
	default:
		send = w.handler.Handle(batch, w.pool, w.tai.Convert(clock.Now()), &w.counters)
	}
	if replies > 0 {
		w.counters.Answered += uint64(w.transmit(w.replies[:replies]))
		w.release(w.replies[:replies])
	}
	if send > 0 {
		w.counters.Reflected += uint64(w.transmit(batch[:send]))
	}
	w.release(batch)
}

func (w *worker) release(batch []frame.Desc) {
	for i := range batch {
		w.pool.Release(batch[i].Frame)
	}
}

// transmit sends frames. What the ring has no room for is dropped: who waited for it would have others dropped in the receive ring.
// It returns how many packets were sent.
func (w *worker) transmit(batch []frame.Desc) int {
	took := w.queue.Transmit(batch)
	if took < len(batch) {
		w.counters.NotSent += uint64(packets(batch[took:]))
	}
	return packets(batch[:took])
}

// packets returns how many packets a batch has: one may lie in several frames.
func packets(batch []frame.Desc) (n int) {
	for i := range batch {
		if !batch[i].More {
			n++
		}
	}
	return n
}

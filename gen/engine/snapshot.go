package engine

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// request asks a worker for its counters, which only its own goroutine may read. It takes an empty histogram and gives the one that it has
// filled so far, so that nothing is copied or allocated between two packets.
type request struct {
	late    *hdrhistogram.Histogram
	totals  Totals
	warm    bool
	granted chan struct{}
}

// answer answers a request, if there is one, between two turns.
func (w *worker) answer(now clock.Time) {
	r := w.request.Load()
	if r == nil {
		return
	}
	w.request.Store(nil)
	if w.ended > w.began {
		now = w.ended
	}
	r.fill(w, now)
	close(r.granted)
}

func (r *request) fill(w *worker, now clock.Time) {
	r.late, w.late = w.late, r.late
	r.warm = w.warm
	r.totals = Totals{w.counters(), max(now.Sub(w.began), 0)}
}

// Snapshot returns what was sent so far. Any goroutine may call it, before and after the run too.
func (e *Engine) Snapshot() Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	var s Snapshot
	if !e.started {
		s.Lateness = newHistogram()
		return s
	}
	asked := make([]*request, len(e.workers))
	for i, w := range e.workers {
		asked[i] = &request{late: e.spare[i], granted: make(chan struct{})}
		w.request.Store(asked[i])
		w.queue.Wake()
	}
	for i, w := range e.workers {
		r := asked[i]
		select {
		case <-r.granted:
		case <-w.done:
			// It may have answered with its last breath.
			if w.request.CompareAndSwap(r, nil) {
				r.fill(w, w.ended)
			}
		}
		s.Add(r.totals.Counters)
		s.Elapsed = max(s.Elapsed, r.totals.Elapsed)
		s.Warm = s.Warm || r.warm
		e.late.Merge(r.late)
		r.late.Reset()
		e.spare[i] = r.late
	}
	s.Lateness = e.late.Clone()
	return s
}

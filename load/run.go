package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/wheel"
	"github.com/xdpstack/xdpstack/stack"
)

// Run is load that is being made. Its methods may be called by any goroutine that is not a shard's.
type Run struct {
	cfg     Config
	phases  []Phase // of the arrivals; none: a closed loop
	stack   *stack.Stack
	workers []*worker

	opening  atomic.Int32 // workers that are not ready to begin
	startAt  atomic.Int64 // the clock.Time at which requests begin; 0: not known yet
	earliest clock.Time   // it is not before this
	stopping atomic.Bool
	failure  atomic.Pointer[error]
	going    atomic.Int32 // workers that have not finished
	done     chan struct{}

	mu    sync.Mutex // of what follows: one snapshot at a time
	from  clock.Time // when counting began, and what time of day that was
	since time.Time
	parts []part
	spare *recorder
}

// part is what is known of one worker.
type part struct {
	rec   *recorder
	epoch int
}

// ErrFailed is wrapped by the error of a run that Config.FailFast has ended.
var ErrFailed = errors.New("load: a request failed")

// endless is a phase without end.
const endless = 10 * 365 * 24 * time.Hour

// unlimited is a number of requests that is never reached.
const unlimited = 1 << 62

// Start begins to make load. The shards do it by themselves, on a stack that is not started when they are stepped; Wait waits for the end.
// A stack makes the load of one run at a time.
func Start(st *stack.Stack, cfg Config) (*Run, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Run{cfg: full, phases: full.Phases, stack: st, done: make(chan struct{}), spare: newRecorder(), since: time.Now()}
	if full.Mode == Hold && full.Interval > 0 {
		rate := float64(full.Connections) / full.Interval.Seconds()
		r.phases = []Phase{{rate, rate, endless}}
		if full.Duration > 0 {
			r.phases[0].For = full.Duration
		}
	}
	order, requests, err := full.content()
	if err != nil {
		return nil, err
	}
	n := st.Shards()
	r.opening.Store(int32(n))
	r.going.Store(int32(n))
	for i := range n {
		w := &worker{run: r, cfg: &r.cfg, shard: st.Shard(i), dialer: stack.Dialer{Stack: st, Spread: full.Spread},
			id: i*full.Workers + full.Worker, of: n * full.Workers, requests: requests, order: order,
			headRequest: full.Request.Method == "HEAD", open: len(r.phases) > 0, rec: newRecorder(), due: make([]uint32, 256)}
		if full.WarmUp > 0 {
			w.fresh = newRecorder()
		}
		w.divide()
		r.workers = append(r.workers, w)
		r.parts = append(r.parts, part{rec: newRecorder()})
	}
	if !full.StartAt.IsZero() {
		r.earliest = clockOf(full.StartAt)
	}
	if full.TLS != nil {
		for _, w := range r.workers {
			w.tls = newTLSWorker(w)
		}
	}
	if full.Protocol == UDP {
		if err := r.openUDP(); err != nil {
			return nil, err
		}
	}
	return r, r.launch()
}

// divide finds out which part of the whole is the worker's. Where there are fewer connections or requests than workers, some have none.
func (w *worker) divide() {
	c := w.cfg
	working := min(w.of, c.Connections)
	if c.Count > 0 {
		working = int(min(uint64(working), c.Count))
	}
	w.waiting.max = c.MaxWaiting
	if w.id >= working {
		w.idle = true
		return
	}
	w.of = working
	w.share = c.Connections / working
	if w.id < c.Connections%working {
		w.share++
	}
	w.left = unlimited
	if n := uint64(working); c.Count > 0 {
		w.left = c.Count / n
		if uint64(w.id) < c.Count%n {
			w.left++
		}
	}
	w.turns = w.id % len(w.order)
}

// launch has every shard begin.
func (r *Run) launch() error {
	for _, w := range r.workers {
		err := w.shard.Do(func(s *stack.Shard) {
			w.now, w.created = s.Now(), s.Now()
			w.wheel = wheel.New(connBlock, w.now)
			if w.tls != nil {
				w.tls.start()
			}
			s.SetOnTurn(w.turn)
		})
		if err != nil {
			return fmt.Errorf("load: the stack is closed: %w", err)
		}
	}
	return nil
}

// opened notes that a worker is ready; the last one decides when requests begin.
func (r *Run) opened(now clock.Time) {
	if r.opening.Add(-1) > 0 {
		return
	}
	if len(r.workers) > 1 {
		now = now.Add(2 * gateTime) // all have looked by then
	}
	r.startAt.Store(int64(max(now, r.earliest)))
}

// finished notes that a worker has ended.
func (r *Run) finished() {
	if r.going.Add(-1) == 0 {
		close(r.done)
	}
}

// fail ends the run because of a failed request.
func (r *Run) fail(why Reason) {
	err := fmt.Errorf("%w: %v", ErrFailed, why)
	r.failure.CompareAndSwap(nil, &err)
	r.stopping.Store(true)
}

// Err returns why the run ended early, nil if it did not.
func (r *Run) Err() error {
	if err := r.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Stop begins no more requests. Those under way are waited for, for Config.Drain at most: Wait returns then.
func (r *Run) Stop() {
	r.stopping.Store(true)
	for _, w := range r.workers {
		_ = w.shard.Do(func(*stack.Shard) {}) // it has a turn; a stack that is closed has ended anyway
	}
}

// Done returns a channel that is closed when the run has ended.
func (r *Run) Done() <-chan struct{} { return r.done }

// Wait waits for the end of the run, gives back what it has of the stack, and returns Err. When the context is done it stops the run and
// waits for that.
func (r *Run) Wait(ctx context.Context) error {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	stop := ctx.Done()
	for {
		select {
		case <-r.done:
			r.close()
			return r.Err()
		case <-stop:
			stop = nil
			r.Stop()
		case <-t.C:
			if err := r.workers[0].shard.Do(func(*stack.Shard) {}); err != nil {
				err = fmt.Errorf("load: the stack was closed during the run: %w", err)
				r.failure.CompareAndSwap(nil, &err)
				return r.Err()
			}
		}
	}
}

// close gives back what the run has of the stack beside connections of handlers, which close by themselves.
func (r *Run) close() {
	r.closeUDP()
	for _, w := range r.workers {
		if w.tls != nil {
			w.tls.group.Wait()
		}
	}
}

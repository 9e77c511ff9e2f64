package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Engine is a number of workers that send together. Run runs it, once; Snapshot may be called meanwhile.
type Engine struct {
	cfg     Config
	workers []*worker

	mu      sync.Mutex // of what follows
	started bool
	late    *hdrhistogram.Histogram // what the workers have handed over so far
	stamps  *hdrhistogram.Histogram
	spare   []*hdrhistogram.Histogram // for the next time that they are asked
}

// Result is what a run did.
type Result struct {
	Totals
	Workers []Totals // by worker
	// Lateness is how late packets were handed over, in ns: see the package's documentation. Empty where the rate has no schedule.
	Lateness *hdrhistogram.Histogram
	// Distances are by how much the times between sampled packets, as the driver tells them, were not those of the schedule, in ns. Empty
	// if none were asked for.
	Distances *hdrhistogram.Histogram
	Slipped   time.Duration // by which a replay was put off because packets could not leave in time
}

// Snapshot is what was done so far.
type Snapshot struct {
	Totals
	Warm     bool                    // so far everything was warm-up, which is what the counters are of then
	Lateness *hdrhistogram.Histogram // as in Result, so far
}

// New makes an engine.
func New(cfg Config) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, late: newHistogram(), stamps: newHistogram()}
	for i, q := range cfg.Queues {
		w := &worker{
			queue: q, pool: q.Pool(), source: cfg.Sources[i], spin: cfg.Spin, cpu: -1, batch: cfg.Batch, done: make(chan struct{}),
			late: newHistogram(), stamps: stamps{every: cfg.StampEvery, distance: newHistogram()},
		}
		if len(cfg.CPUs) > 0 {
			w.cpu = cfg.CPUs[i]
		}
		if len(cfg.Receivers) > 0 {
			w.receiver = cfg.Receivers[i]
		}
		w.writer, _ = w.source.(Writer)
		if longest := w.source.MaxLen(); longest > w.pool.ChunkSize()-offset {
			w.scratch = make([]byte, longest)
		}
		w.descs = make([]frame.Desc, max(cfg.Batch*w.perPacket(), receiveBatch))
		w.runs = make([]run, 0, cfg.Batch)
		if err := w.makeSchedule(&cfg, i); err != nil {
			return nil, err
		}
		e.workers = append(e.workers, w)
		e.spare = append(e.spare, newHistogram())
	}
	return e, nil
}

func (w *worker) makeSchedule(cfg *Config, i int) (err error) {
	if t, ok := w.source.(Timed); ok {
		w.schedule = rate.NewReplay(t, cfg.Rate.CatchUp)
		return nil
	}
	r := cfg.Rate
	r.Worker, r.Workers, r.Mean = i, len(cfg.Queues), w.source.MeanLen()
	w.schedule, err = rate.New(r)
	return err
}

// Run sends as cfg says, and returns when that is over.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	e, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return e.Run(ctx)
}

// Run sends until the schedule is over, the context ends, which is no error, or a worker cannot go on. What was done until then is in the
// result, with an error too. The queues are the caller's again after it.
func (e *Engine) Run(ctx context.Context) (*Result, error) {
	ready, start := make(chan error, len(e.workers)), make(chan clock.Time)
	for _, w := range e.workers {
		go w.run(ready, start, &e.cfg)
	}
	var all error
	for range e.workers {
		all = errors.Join(all, <-ready)
	}
	if all != nil {
		close(start)
		return nil, fmt.Errorf("gen: %w", all)
	}
	stop := func() {
		for _, w := range e.workers {
			w.stopping.Store(true)
			w.queue.Wake()
		}
	}
	defer context.AfterFunc(ctx, stop)()
	at := max(e.cfg.StartAt, clock.Now()+startMargin)
	for range e.workers {
		start <- at
	}
	e.mu.Lock()
	e.started = true
	e.mu.Unlock()
	for _, w := range e.workers {
		<-w.done
		if w.err != nil {
			all = errors.Join(all, w.err)
			stop() // the schedule is nobody else's to make up for
		}
	}
	return e.result(), all
}

// startMargin is how much later than the workers are ready the schedule begins, so that none of them is late for it. In ns.
const startMargin = 200e3

func (e *Engine) result() *Result {
	r := &Result{Lateness: newHistogram(), Distances: newHistogram()}
	e.mu.Lock()
	defer e.mu.Unlock()
	r.Lateness.Merge(e.late)
	for _, w := range e.workers {
		t := Totals{w.counters(), max(w.ended.Sub(w.began), 0)}
		if w.warm { // it never began to count
			t = Totals{}
		}
		r.Workers = append(r.Workers, t)
		r.Add(t.Counters)
		r.Elapsed = max(r.Elapsed, t.Elapsed)
		r.Lateness.Merge(w.late)
		r.Distances.Merge(w.stamps.distance)
		if replay, ok := w.schedule.(*rate.Replay); ok {
			r.Slipped = max(r.Slipped, replay.Slipped())
		}
	}
	return r
}

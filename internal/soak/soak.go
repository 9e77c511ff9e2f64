package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Config says how a soak is done.
type Config struct {
	Duration time.Duration // of faults and load
	Every    time.Duration // between two faults, on average; default 3 s
	Seed     uint64        // of the order of faults
	Binary   string        // the command xdpstack
	Dir      string        // for its files
	Log      func(format string, args ...any)
}

// Result is what a soak found.
type Result struct {
	Duration    time.Duration
	Connections uint64         // that clients made and ended in order
	Bytes       uint64         // that came back to them and were right
	Faults      map[string]int // by name
	Processes   int            // of the server: one more than upgrades
	Memory      Memory         // of the server
	Slowest     time.Duration  // that a client waited for its connection, or for an answer
}

func (r *Result) String() string {
	return fmt.Sprintf("%d connections, %d MiB compared, faults %v, %d processes, memory %v, longest wait %v, in %v",
		r.Connections, r.Bytes>>20, r.Faults, r.Processes, &r.Memory, r.Slowest.Round(time.Millisecond),
		r.Duration.Round(time.Second))
}

// Run soaks. The error says what was harmed.
func Run(ctx context.Context, cfg Config) (res *Result, err error) {
	if cfg.Every == 0 {
		cfg.Every = 3 * time.Second
	}
	w, err := newWorld(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	res = &Result{Faults: make(map[string]int)}
	began := time.Now()
	load := w.startLoad(ctx)
	err = w.faults(ctx, &cfg, load, res)
	res.Duration = time.Since(began)
	err = errors.Join(err, load.stop())
	res.Connections, res.Bytes, res.Slowest = load.connections.Load(), load.bytes.Load(), time.Duration(load.slowest.Load())
	if err != nil {
		return res, err
	}
	if err := w.settled(ctx); err != nil {
		return res, err
	}
	if res.Memory.End, err = w.rss(); err != nil {
		return res, err
	}
	if err := res.Memory.grown(); err != nil {
		return res, err
	}
	return res, w.stop(ctx)
}

// warm is after how long the server's memory is looked at first.
const warm = 20 * time.Second

// faults lets one happen after the other.
func (w *world) faults(ctx context.Context, cfg *Config, load *load, res *Result) error {
	random := rand.New(rand.NewPCG(cfg.Seed, 0))
	end := time.Now().Add(cfg.Duration)
	warmAt := time.Now().Add(min(warm, cfg.Duration/4))
	told := time.Now()
	for n := 0; time.Now().Before(end); n++ {
		f := kinds[(n+int(cfg.Seed))%len(kinds)]
		if n >= len(kinds) { // all have had their turn
			f = kinds[random.IntN(len(kinds))]
		}
		if err := f.happen(ctx, w, random); err != nil {
			return fmt.Errorf("soak: %s, the fault number %d: %w", f.name, n, err)
		}
		res.Faults[f.name]++
		if err := load.failed(); err != nil {
			return fmt.Errorf("soak: after %s, the fault number %d: %w", f.name, n, err)
		}
		if err := w.alive(ctx, res); err != nil {
			return fmt.Errorf("soak: after %s, the fault number %d: %w", f.name, n, err)
		}
		if time.Now().After(warmAt) {
			kib, err := w.rss()
			if err != nil {
				return err
			}
			res.Memory.add(kib)
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			cfg.Log("%v left, %d connections, %d MiB compared, faults %v", time.Until(end).Round(time.Second),
				load.connections.Load(), load.bytes.Load()>>20, res.Faults)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cfg.Every/2 + time.Duration(random.Int64N(int64(cfg.Every)))):
		}
	}
	return nil
}

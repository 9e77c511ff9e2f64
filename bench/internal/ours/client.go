package ours

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// ClientConfig says how a client drives a server.
type ClientConfig struct {
	load.Config
	Interface string
	Address   netip.Prefix  // the client's own; the kernel must not have it
	Spin      time.Duration // how long it polls before it sleeps; negative: not at all
	CPUs      []int         // of the shards, one for each queue; nil: one shard, wherever the process may run
	ZeroCopy  bool          // zero-copy or an error; else frames are copied
}

// client drives a server with xdpstack's own TCP. Its handlers run on the shard and share what is below with the goroutine that
// watches over them.
type client struct {
	cfg    ClientConfig
	stack  *stack.Stack
	remote netip.AddrPort

	moved, count, errors atomic.Uint64
	open                 atomic.Int64
	measuring            atomic.Bool
	failure              atomic.Pointer[error] // the first that ends the run
	lastErr              atomic.Pointer[error]
	latency              *hdrhistogram.Histogram // the first shard's, until the stack is closed
}

// patience bounds a time without any progress.
const patience = 5 * time.Second

// RunClient does the work. It calls ready when its interface is attached and its connections are open, and mark at the start of
// the measured window and at its end. A window in which nothing was done goes on until something is, as in load.Run.
func RunClient(ctx context.Context, cfg ClientConfig, ready func(), mark func(start bool)) (r load.Result, err error) {
	c := &client{cfg: cfg, latency: load.NewHistogram()}
	c.remote = netip.AddrPortFrom(netip.AddrFrom4(cfg.Addr), cfg.Work.Port())
	sc := stack.Config{
		Interface: cfg.Interface, Address: cfg.Address, NoProbe: true, SpinTime: cfg.Spin, CPUs: cfg.CPUs,
		AFXDP: afxdp.Options{Mode: mode(cfg.ZeroCopy), KeepProcessor: true, AdaptiveFill: true},
	}
	sc.TCP.Congestion = cfg.Congestion
	if c.stack, err = stack.Open(sc); err != nil {
		return r, err
	}
	r, err = c.run(ctx, ready, mark)
	err = errors.Join(err, c.stack.Close())
	r.Latencies(c.latency)
	return r, err
}

func (c *client) run(ctx context.Context, ready func(), mark func(start bool)) (r load.Result, err error) {
	if err := c.connect(ctx); err != nil {
		return r, err
	}
	ready()
	if err := c.watch(ctx, c.cfg.Warmup); err != nil {
		return r, err
	}
	c.measuring.Store(true)
	count, failed, start := c.count.Load(), c.errors.Load(), time.Now()
	mark(true)
	err = c.watch(ctx, c.cfg.Window)
	for end := time.Now().Add(patience); err == nil && c.count.Load() == count && time.Now().Before(end); {
		err = c.watch(ctx, 10*time.Millisecond)
	}
	count, failed = c.count.Load()-count, c.errors.Load()-failed
	r = load.Result{Seconds: time.Since(start).Seconds(), Count: float64(count), Errors: float64(failed)}
	mark(false)
	c.measuring.Store(false)
	if err == nil && r.Count == 0 {
		err = fmt.Errorf("client: nothing in %.1f s: %w", r.Seconds, c.stalled())
	}
	return r, err
}

// connect opens the connections, a few at a time; those that are to stay are established when it returns.
func (c *client) connect(ctx context.Context) error {
	begun := 0
	for end := time.Now().Add(load.OpenPatience); ; {
		open := int(c.open.Load())
		for ; begun < c.cfg.Conns && (begun < open+load.OpenAtOnce || c.cfg.Work == load.Connect); begun++ {
			if err := c.stack.Connect(c.remote, c.handler()); err != nil {
				return err
			}
		}
		switch {
		case open == c.cfg.Conns || c.cfg.Work == load.Connect:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("client: %d of %d connections after %v: %w", open, c.cfg.Conns, load.OpenPatience, c.stalled())
		}
		if err := c.watch(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// watch waits for a time, or until the run has failed or nothing moves any more.
func (c *client) watch(ctx context.Context, length time.Duration) error {
	end := time.Now().Add(length)
	seen, quiet := c.moved.Load(), time.Now()
	for {
		if err := c.failure.Load(); err != nil {
			return *err
		}
		now := time.Now()
		if now.After(end) {
			return nil
		}
		if moved := c.moved.Load(); moved != seen {
			seen, quiet = moved, now
		} else if now.Sub(quiet) > patience {
			return fmt.Errorf("client: for %v: %w", patience, c.stalled())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(end.Sub(now), 20*time.Millisecond)):
		}
	}
}

// stalled is the error of a run that does not get on, with the last that a connection ended with.
func (c *client) stalled() error {
	if err := c.lastErr.Load(); err != nil {
		return errors.Join(load.ErrStalled, *err)
	}
	return load.ErrStalled
}

func (c *client) fail(err error) { c.failure.CompareAndSwap(nil, &err) }

// finished counts a unit of work that began at a time. The latencies are those of one shard.
func (c *client) finished(shard int, begun, now clock.Time) {
	c.moved.Add(1)
	c.count.Add(1)
	if shard == 0 && c.measuring.Load() {
		_ = c.latency.RecordValue(int64(now.Sub(begun))) // beyond a minute is beyond the window as well
	}
}

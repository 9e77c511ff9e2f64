package ours

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	benchload "github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/load"
	"github.com/xdpstack/xdpstack/stack"
)

// RunLoad does the work with package load, as the command "xdpstack load" does. It calls ready and mark as RunClient does.
func RunLoad(ctx context.Context, cfg ClientConfig, ready func(), mark func(start bool)) (r benchload.Result, err error) {
	sc := stack.Config{
		Interface: cfg.Interface, Address: cfg.Address, NoProbe: true, SpinTime: cfg.Spin, CPUs: cfg.CPUs,
		AFXDP: afxdp.Options{Mode: mode(cfg.ZeroCopy), KeepProcessor: true, AdaptiveFill: true},
	}
	sc.TCP.TimeWait = time.Second
	st, err := stack.Open(sc)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	lc := load.Config{
		Targets:     []load.Target{{Addr: netip.AddrPortFrom(netip.AddrFrom4(cfg.Addr), cfg.Work.Port())}},
		Connections: cfg.Conns, Duration: cfg.Warmup + cfg.Window, WarmUp: cfg.Warmup,
	}
	switch cfg.Work {
	case benchload.HTTP:
	case benchload.Connect:
		lc.Mode = load.Connections
	case benchload.Arrive:
		lc.Phases, lc.Duration = []load.Phase{{From: ArrivalRate, To: ArrivalRate, For: lc.Duration}}, 0
	default:
		return r, fmt.Errorf("ours: load does not do %q", cfg.Work)
	}
	ready()
	run, err := load.Start(st, lc)
	if err != nil {
		return r, err
	}
	return followLoad(ctx, run, &cfg, mark)
}

// ArrivalRate is how many requests a second arrive of a load that does not wait for answers.
const ArrivalRate = 100_000

// followLoad marks the window, and takes the result.
func followLoad(ctx context.Context, run *load.Run, cfg *ClientConfig, mark func(start bool)) (r benchload.Result, err error) {
	time.Sleep(cfg.Warmup) // a snapshot costs something
	for s := run.Snapshot(); s.State < load.Running; s = run.Snapshot() {
		select {
		case <-run.Done():
			return r, errors.Join(errors.New("ours: the load ended before its window"), run.Err())
		case <-time.After(time.Millisecond):
		}
	}
	mark(true)
	if err := run.Wait(ctx); err != nil {
		return r, err
	}
	mark(false)
	s := run.Snapshot()
	r = benchload.Result{Seconds: s.Elapsed.Seconds(), Count: float64(s.Done), Errors: float64(s.Failed)}
	if s.Done == 0 {
		return r, fmt.Errorf("ours: no answer: %v", s.ErrorsByName())
	}
	if cfg.Work == benchload.Arrive {
		r.Latencies(s.ScheduleError)
	} else {
		r.Latencies(s.Total)
	}
	return r, nil
}

package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/bench/internal/watch"
)

// watchRate is how many looks a second are taken of a server: so many that what they cost stands out of the noise of a busy machine.
const watchRate = 20

const watchedKind = "xdpstack-watched"

// watchGroup is what it costs a server at full load to be watched.
func watchGroup() *group {
	cost := func(name, setup, kind string) side { return side{name: name, setup: setup, kind: kind, noPeer: true} }
	sides := []side{
		cost(ourName, "metrics, dashboard, ss and stats, each once", watch.All),
		cost("metrics", "/metrics, as Prometheus asks", watch.Metrics),
		cost("dashboard", "/live, as the dashboard and xdpstack top ask", watch.Dashboard),
		cost("ss", "all connections with what TCP knows of them, as xdpstack ss -i asks", watch.SS),
		cost("stats", "all counters, as xdpstack stats asks", watch.Stats),
		cost("nobody", "the same without a look: the noise", watch.Nothing),
	}
	sides[0].noPeer = false
	return &group{
		benchmarks: []benchmark{{
			name: "watch", title: fmt.Sprintf("a look a second, from %d, at a server of HTTP keep-alive, 256 connections", watchRate),
			unit: "% of a CPU", lower: true, limit: true, extra: true,
			targets: []result.Target{{Side: ourName, AtMost: 1}, {Side: ourName, Figure: veth.ThroughputCost, AtMost: 1}},
		}},
		sides: sides, need: needLab,
		repeats: func(t *times) int { return t.repeats },
		takes: func(t *times, _ int) time.Duration {
			return 2*time.Second + t.warmup + 2*watchPairs*(t.window+50*time.Millisecond)
		},
		run: alone(func(ctx context.Context, s *session, t turn) result.Run {
			r := s.runner()
			r.Lab.Threaded, r.Lab.GRO = true, true
			server := veth.Ours
			server.Kind = watchedKind
			server.Spin = -1 // else polling takes what looking leaves, and hides what it costs
			return r.Watch(ctx, server, veth.Watching{Kind: t.side.kind, Rate: watchRate, Pairs: watchPairs, Length: s.times.window})
		}),
	}
}

// watchPairs is how many stretches of either kind a run has.
const watchPairs = 4

// serveWatched is the child that plays the server.
func serveWatched(ctx context.Context, emit child.Emit, cfg ours.ServerConfig) (any, error) {
	s, err := ours.NewWatched(cfg)
	if err != nil {
		return nil, err
	}
	if err := emit("ready", veth.Ready{Mode: s.Describe(), Control: s.Path()}); err != nil {
		return nil, err
	}
	if err := s.Run(ctx); err != nil {
		return nil, err
	}
	return s.Counters(), s.Close()
}

// watchServer is the child that watches it.
func watchServer(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("watch", flag.ContinueOnError)
	var cfg watch.Config
	fs.StringVar(&cfg.Socket, "socket", "", "the server's control socket")
	fs.StringVar(&cfg.Kind, "kind", watch.All, "what is looked at")
	fs.Float64Var(&cfg.Rate, "rate", watchRate, "looks a second")
	fs.IntVar(&cfg.Pairs, "pairs", watchPairs, "stretches with looks, and as many without")
	fs.DurationVar(&cfg.Length, "length", time.Second, "of a stretch")
	fs.DurationVar(&cfg.Warmup, "warmup", 0, "time before the first")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := place(*cpu, false); err != nil {
		return nil, err
	}
	return watch.Run(ctx, cfg, func(begins bool) {
		kind := "end"
		if begins {
			kind = "begin"
		}
		_ = emit(kind, nil) // a parent that is gone ends us anyway
	})
}

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/scale"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// How many connections there are.
const (
	million      = 1_000_000
	gvisorHeld   = 100_000 // 5 KB each and more: a million would not fit everywhere
	kernelHeld   = 50_000  // with both ends in the kernel
	scaleTimeout = 2 * time.Minute
)

// scatterCounts are the numbers of connections that segments come to.
var scatterCounts = []int{1, 1000, 100_000, million}

// scaleGroups are the benchmarks of very many connections.
func scaleGroups() []*group {
	return []*group{
		{
			benchmarks: []benchmark{{
				name: "scale-memory", row: "9", title: "memory of idle connections", unit: "bytes/connection", lower: true,
				targets: []result.Target{
					{AtMost: 512},
					{Figure: "resident MiB", AtMost: 1024, Lower: true},
					{Figure: "pause ms", AtMost: 1, Lower: true},
				},
			}},
			sides: []side{
				{name: ourName, setup: "1,000,000 in memory, handler API", kind: "xdpstack"},
				{name: coreGVisor, setup: "100,000 in memory", kind: "gvisor"},
				{name: "kernel", setup: "up to 50,000 over lo, each end counted; slabs only", kind: "kernel", need: needRoot},
			},
			repeats: func(t *times) int { return min(t.repeats, 3) },
			takes:   func(*times, int) time.Duration { return 7 * time.Second },
			run: alone(func(ctx context.Context, s *session, t turn) result.Run {
				return s.holdOnce(ctx, t.side.kind)
			}),
		},
		{
			benchmarks: []benchmark{{
				name: "scale-segments", row: "10", title: "a segment to one of 1,000,000 connections", unit: "ns/segment", lower: true,
				targets: []result.Target{{
					Figure: "times one connection", AtMost: 1.5, Lower: true,
					Bound: "a batch to one connection is one run with one ACK; among many, each segment is a turn of its connection, " +
						"and its delayed ACK another, and both find it outside the cache",
				}},
			}},
			sides:   []side{{name: ourName, setup: "handler API, batches of 64 to random connections", kind: "xdpstack"}},
			repeats: func(t *times) int { return min(t.repeats, 3) },
			takes: func(t *times, _ int) time.Duration {
				return 5*time.Second + time.Duration(len(scatterCounts))*(t.coreWarmup+t.coreWindow)
			},
			run: alone(func(ctx context.Context, s *session, _ turn) result.Run { return s.scatterOnce(ctx) }),
		},
	}
}

func needRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("it needs root")
	}
	return nil
}

// measureScale is the child that measures one side of one of them once.
func measureScale(_ context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("scale", flag.ContinueOnError)
	kind := fs.String("side", "", "which side")
	held := fs.Int("hold", 0, "how many connections to hold; 0: scatter segments over more and more")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	warmup := fs.Duration("warmup", 0, "time before the window")
	window := fs.Duration("window", 0, "measured time")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := place(*cpu, false); err != nil {
		return nil, err
	}
	begin := func() error { return emit(child.KindStart, nil) }
	if *kind == "kernel" {
		return scale.HoldKernel(*held, begin)
	}
	open := coreTargets[*kind]
	if open == nil {
		return nil, fmt.Errorf("no side of kind %q", *kind)
	}
	t, err := open(core.Hold)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if *held > 0 {
		return scale.Hold(t, *held, begin)
	}
	return scale.Scatter(t, scatterCounts, *warmup, *window, begin)
}

func (s *session) scaleChild(ctx context.Context, into any, args ...string) (*result.GC, error) {
	cpu, _ := veth.Processors()
	cmd := exec.Command("/proc/self/exe", append([]string{"scale", "-cpu", strconv.Itoa(cpu)}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	child.Profiled(cmd, s.profileTo)
	p, err := child.Start(cmd)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	err = p.Next(ctx, child.KindDone, scaleTimeout, into)
	return p.GC(), err
}

func (s *session) holdOnce(ctx context.Context, kind string) result.Run {
	n := map[string]int{"xdpstack": million, "gvisor": gvisorHeld, "kernel": kernelHeld}[kind]
	var h scale.Held
	gc, err := s.scaleChild(ctx, &h, "-side", kind, "-hold", strconv.Itoa(n))
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	extra := map[string]float64{"connections": float64(h.Connections), "seconds to open": h.Seconds}
	if kind != "kernel" {
		extra["resident MiB"] = h.Resident / (1 << 20)
		extra["heap bytes"], extra["heap objects"] = h.Heap, h.Objects
		extra["collection ms"] = h.Collection * 1000
		if gc != nil {
			extra["pause ms"] = gc.PauseMax * 1000
		}
	}
	for part, v := range h.Parts {
		extra[part+" bytes"] = v
	}
	return result.Run{Value: h.Bytes, Seconds: h.Seconds, GC: gc, Extra: extra}
}

func (s *session) scatterOnce(ctx context.Context) result.Run {
	var found []scale.Scattered
	gc, err := s.scaleChild(ctx, &found, "-side", "xdpstack", "-warmup", s.times.coreWarmup.String(),
		"-window", s.times.coreWindow.String())
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	extra := make(map[string]float64)
	for _, f := range found {
		extra[fmt.Sprintf("ns with %d", f.Connections)] = f.Nanos
		extra[fmt.Sprintf("frames sent with %d", f.Connections)] = f.Sent
	}
	one, last := found[0].Nanos, found[len(found)-1]
	extra["times one connection"] = last.Nanos / one
	extra["times 1000 connections"] = last.Nanos / found[1].Nanos
	return result.Run{Value: last.Nanos, Seconds: last.Nanos * float64(last.Segments) / 1e9, GC: gc, Extra: extra}
}

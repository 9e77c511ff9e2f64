package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/gvisor"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// coreTargets make the stacks of the benchmarks in memory, by the kind of the side.
var coreTargets = map[string]func(core.Work) (core.Target, error){
	"xdpstack": func(w core.Work) (core.Target, error) { return ours.NewMemory(w) },
	"gvisor":   func(w core.Work) (core.Target, error) { return gvisor.NewMemory(w, gvisor.MemoryOptions{}) },
	"gvisor-gro": func(w core.Work) (core.Target, error) {
		return gvisor.NewMemory(w, gvisor.MemoryOptions{GRO: true})
	},
	"hollow": func(w core.Work) (core.Target, error) { return core.NewHollow(w), nil },
}

const harnessAlone = "the harness alone"

// coreGroups are the benchmarks in memory.
func coreGroups() []*group {
	none := result.Target{Figure: "allocations"}
	receive := coreGroup(core.Receive, benchmark{
		row: "1", title: "core receive, in memory", unit: "ns/segment",
		targets: []result.Target{{Against: coreGVisor, AtLeast: 10}, none},
	})
	// Receive merging is nothing for a sender.
	receive.sides = slices.Insert(receive.sides, 2, side{name: "gVisor, GRO", setup: "its receive merging on", kind: "gvisor-gro"})
	send := coreGroup(core.Send, benchmark{
		row: "2", title: "core send, in memory", unit: "ns/segment",
		targets: []result.Target{{Against: coreGVisor, AtLeast: 10}, none},
	})
	connect := coreGroup(core.Connect, benchmark{
		row: "3", title: "core handshake, 1 request, close, in memory", unit: "ns/connection",
		targets: []result.Target{{Against: coreGVisor, AtLeast: 15}, none},
	})
	return []*group{receive, send, connect}
}

func coreGroup(w core.Work, b benchmark) *group {
	b.name, b.lower, b.overhead = "core-"+string(w), true, harnessAlone
	return &group{
		benchmarks: []benchmark{b},
		sides: []side{
			{name: ourName, setup: "handler API", kind: "xdpstack"},
			{name: coreGVisor, setup: "receive buffer 1 MiB fixed", kind: "gvisor"},
			{name: harnessAlone, setup: "no stack", kind: "hollow", noPeer: true},
		},
		repeats: func(t *times) int { return t.coreRepeats },
		takes:   func(t *times, _ int) time.Duration { return t.coreWarmup + t.coreWindow + 150*time.Millisecond },
		run: alone(func(ctx context.Context, s *session, t turn) result.Run {
			return s.coreOnce(ctx, w, t.side.kind)
		}),
	}
}

// measureCore is the child that measures one side once.
func measureCore(_ context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("core", flag.ContinueOnError)
	kind := fs.String("side", "", "which side")
	work := fs.String("work", "", "what it does")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	warmup := fs.Duration("warmup", 0, "time before the window")
	window := fs.Duration("window", 0, "measured time")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := place(*cpu, false); err != nil {
		return nil, err
	}
	open := coreTargets[*kind]
	if open == nil {
		return nil, fmt.Errorf("no side of kind %q", *kind)
	}
	t, err := open(core.Work(*work))
	if err != nil {
		return nil, err
	}
	defer t.Close()
	return core.Run(t, core.Work(*work), *warmup, *window, func() error { return emit(child.KindStart, nil) })
}

func (s *session) coreOnce(ctx context.Context, w core.Work, kind string) result.Run {
	cpu, _ := veth.Processors()
	cmd := exec.Command("/proc/self/exe", "core", "-side", kind, "-work", string(w), "-cpu", strconv.Itoa(cpu),
		"-warmup", s.times.coreWarmup.String(), "-window", s.times.coreWindow.String())
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	child.Profiled(cmd, s.profileTo)
	p, err := child.Start(cmd)
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	defer p.Stop()
	var r core.Result
	if err := p.Next(ctx, child.KindDone, s.times.coreWarmup+s.times.coreWindow+20*time.Second, &r); err != nil {
		return result.Run{Failed: err.Error()}
	}
	return result.Run{
		Value: r.Nanos, Seconds: r.Wall * float64(r.Count) / 1e9,
		Server: result.CPU{Process: r.Nanos * float64(r.Count) / 1e9},
		GC:     p.GC(),
		Extra:  map[string]float64{"allocations": r.Allocs, "heap bytes": r.Bytes, "frames sent": r.Frames, "elapsed ns": r.Wall},
	}
}

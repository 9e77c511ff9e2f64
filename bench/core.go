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

// coreSide is one side of the benchmarks in memory.
type coreSide struct {
	name, setup string
	noPeer      bool
	make        func(core.Work) (core.Target, error)
}

var coreSides = []coreSide{
	{ourName, "handler API", false, func(w core.Work) (core.Target, error) { return ours.NewMemory(w) }},
	{coreGVisor, "receive buffer 1 MiB fixed", false, func(w core.Work) (core.Target, error) {
		return gvisor.NewMemory(w, gvisor.MemoryOptions{})
	}},
	{coreGRO, "its receive merging on", false, func(w core.Work) (core.Target, error) {
		return gvisor.NewMemory(w, gvisor.MemoryOptions{GRO: true})
	}},
	{"the harness alone", "no stack", true, func(w core.Work) (core.Target, error) { return core.NewHollow(w), nil }},
}

const coreGRO = "gVisor, GRO"

// sidesFor returns the sides of a kind of work: receive merging is nothing for a sender.
func sidesFor(w core.Work) []coreSide {
	if w == core.Receive {
		return coreSides
	}
	return slices.DeleteFunc(slices.Clone(coreSides), func(s coreSide) bool { return s.name == coreGRO })
}

// measureCore is the child that measures one side once.
func measureCore(_ context.Context, _ child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("core", flag.ContinueOnError)
	name := fs.String("side", "", "which side")
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
	for _, s := range coreSides {
		if s.name != *name {
			continue
		}
		t, err := s.make(core.Work(*work))
		if err != nil {
			return nil, err
		}
		defer t.Close()
		return core.Run(t, core.Work(*work), *warmup, *window)
	}
	return nil, fmt.Errorf("no side %q", *name)
}

// coreWorks are the benchmarks in memory that are wanted.
func coreWorks(found map[string]*result.Benchmark) []core.Work {
	var works []core.Work
	for _, w := range []core.Work{core.Receive, core.Send} {
		if found["core-"+string(w)] != nil {
			works = append(works, w)
		}
	}
	return works
}

// core runs the benchmarks in memory.
func (s *session) core(ctx context.Context, found map[string]*result.Benchmark) {
	works := coreWorks(found)
	for _, w := range works {
		for _, c := range sidesFor(w) {
			b := found["core-"+string(w)]
			b.Sides = append(b.Sides, &result.Side{Name: c.name, Setup: c.setup, NoPeer: c.noPeer})
		}
	}
	for i := range s.times.coreRepeats {
		for _, w := range works {
			for j, c := range sidesFor(w) {
				if ctx.Err() != nil {
					return
				}
				s.progress("core %s, %s, %d of %d", w, c.name, i+1, s.times.coreRepeats)
				side := found["core-"+string(w)].Sides[j]
				side.Runs = append(side.Runs, s.coreOnce(ctx, w, c.name))
			}
		}
	}
}

func (s *session) coreOnce(ctx context.Context, w core.Work, name string) result.Run {
	cpu, _ := veth.Processors()
	cmd := exec.Command("/proc/self/exe", "core", "-side", name, "-work", string(w), "-cpu", strconv.Itoa(cpu),
		"-warmup", s.times.coreWarmup.String(), "-window", s.times.coreWindow.String())
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
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
		Value: r.Nanos, Seconds: r.Wall * float64(r.Segments) / 1e9,
		Server: result.CPU{Process: r.Nanos * float64(r.Segments) / 1e9},
		Extra:  map[string]float64{"allocations": r.Allocs, "heap bytes": r.Bytes, "frames sent": r.Frames, "elapsed ns": r.Wall},
	}
}

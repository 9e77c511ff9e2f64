package main

import (
	"context"
	"flag"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
)

// Real-time priorities over a bad path. The kernel's TCP does most of its work in the hop's sends, at the hop's priority. The servers and
// clients have one as well, or a busy machine would delay the stack that is a process, and not the kernel's.
const (
	hopPriority = 20
	endPriority = 10
)

// forward is the child that is a bad path.
func forward(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("hop", flag.ContinueOnError)
	var cfg hop.Config
	var imp impair.Config
	fs.StringVar(&cfg.A, "a", "", "the interface towards the server")
	fs.StringVar(&cfg.B, "b", "", "the interface towards the client")
	fs.Uint64Var(&cfg.Seed, "seed", 0, "seed of the losses")
	fs.DurationVar(&imp.Delay, "delay", 0, "one way")
	fs.Float64Var(&imp.Loss, "loss", 0, "probability of each packet")
	fs.Int64Var(&imp.Rate, "rate", 0, "bits per second; 0: no limit")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	fs.IntVar(&imp.QueueLen, "queue", 0, "packets that wait at the rate")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	// All threads, not only the forwarder's: the others are those that the runtime's scheduler, without which it cannot go on, runs on.
	if err := child.Prefer(hopPriority); err != nil {
		return nil, err
	}
	if *cpu >= 0 {
		if err := child.Pin(*cpu); err != nil {
			return nil, err
		}
	}
	cfg.AB, cfg.BA = imp, imp
	h, err := hop.Open(cfg)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := emit("ready", nil); err != nil {
		return nil, err
	}
	if err := h.Run(ctx); err != nil {
		return nil, err
	}
	ab, ba := h.Stats()
	return [2]hop.Stats{ab, ba}, nil
}

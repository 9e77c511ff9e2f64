package main

import (
	"context"
	"flag"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/flood"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

const (
	// visitRate is how many connections a second the legitimate client makes: few, so that it is the flood that makes the difference.
	visitRate = 500
	// floodWindow is long enough for a 99th percentile, whatever the other windows are: it is the twentieth slowest.
	floodWindow = 4 * time.Second
)

// floodServers are the servers that are flooded.
func floodServers() []veth.Server {
	shield := veth.Ours
	shield.Kind, shield.Setup = "xdpstack-shield", shield.Setup+", Shield auto"
	all := []veth.Server{
		shield, veth.Ours.With("xdpstack, no shield", func(*veth.Server) {}), veth.GVisorXDP,
		veth.Kernel.With("kernel", func(s *veth.Server) { s.Setup += ", tcp_syncookies 1" }),
	}
	for i := range all {
		all[i].Routed = !all[i].Kernel
	}
	return all
}

// floodGroups are connections to a server that is flooded with SYNs from sources that do not exist.
func floodGroups() []*group {
	var all []*group
	for _, f := range []struct {
		name, title string
		rate        float64
		lossy       bool
		repeats     int // at most
	}{
		{"flood-20k", "20,000 spoofed SYNs a second", 20e3, false, 4},
		{"flood-most", "as many spoofed SYNs as the link carries", 0, false, 5},
		{"flood-lossy", "as many spoofed SYNs as go, over a bare veth that loses frames of all", 0, true, 3},
	} {
		targets := []result.Target{
			{Figure: veth.VisitsShare, AtLeast: 95}, {Figure: veth.FloodRatio, AtMost: 10}, {Figure: veth.PerSYN, AtMost: 0.02},
		}
		if f.lossy { // a lost SYN costs a second, whoever serves
			targets = slices.Delete(targets, 1, 2)
		}
		servers := floodServers()
		all = append(all, &group{
			benchmarks: []benchmark{{
				name: f.name, title: "p99 to connect, 500 a second, in a flood: " + f.title, unit: "µs", lower: true, extra: true,
				targets: targets,
			}},
			sides: serverSides(servers), need: needLab,
			repeats: func(t *times) int { return min(t.repeats, f.repeats) },
			takes:   func(t *times, _ int) time.Duration { return 2*(t.warmup+floodWindow) + 2*time.Second },
			run: alone(func(ctx context.Context, s *session, t turn) result.Run {
				r := s.runner()
				r.Lab.Threaded, r.Lab.GRO = true, true
				i := slices.IndexFunc(servers, func(v veth.Server) bool { return v.Name == t.side.name })
				return r.Flood(ctx, servers[i], veth.Flood{Rate: f.rate, Visits: visitRate, Window: floodWindow, Lossy: f.lossy})
			}),
		})
	}
	return all
}

// visit is the child that plays the legitimate client.
func visit(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("visit", flag.ContinueOnError)
	var cfg flood.Config
	fs.StringVar(&cfg.Address, "address", "", "the server's address and port")
	fs.Float64Var(&cfg.Rate, "rate", visitRate, "connections a second")
	fs.DurationVar(&cfg.Window, "window", time.Second, "time in which they are begun")
	warmup := fs.Duration("warmup", 0, "time before, in which they are not counted")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if err := place(*cpu, false); err != nil {
		return nil, err
	}
	warm := cfg
	warm.Window = *warmup
	if _, err := flood.Run(ctx, warm, func(bool) {}); err != nil {
		return nil, err
	}
	r, err := flood.Run(ctx, cfg, func(start bool) {
		kind := "stop"
		if start {
			kind = "start"
		}
		_ = emit(kind, nil)
	})
	if err != nil {
		return nil, err
	}
	if err := emit("result", r); err != nil {
		return nil, err
	}
	<-ctx.Done() // the parent still reads this process's CPU clock
	return nil, nil
}

// floodSYNs is the child that floods. It comes after every other process of its processor, which the client shares.
func floodSYNs(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("flood", flag.ContinueOnError)
	var cfg rawlink.FloodConfig
	fs.StringVar(&cfg.Interface, "interface", "", "the interface that they leave by")
	fs.TextVar(&cfg.Target, "target", netip.AddrPort{}, "the server's address and port")
	fs.Float64Var(&cfg.Rate, "rate", 0, "SYNs a second; 0: as many as go")
	to := fs.String("to", "", "the server's hardware address")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	err := fs.Parse(args)
	if err == nil {
		cfg.To, err = net.ParseMAC(*to)
	}
	if err == nil {
		err = place(*cpu, false)
	}
	if err == nil {
		err = child.Yield()
	}
	if err != nil {
		return nil, err
	}
	return rawlink.Flood(ctx, cfg, func() { _ = emit("ready", nil) })
}

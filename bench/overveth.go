package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// vethWorks are the works of the benchmarks over veth, by name.
var vethWorks = map[string]load.Work{
	"bulk-receive": load.Receive, "bulk-send": load.Send, "http": load.HTTP, "connect": load.Connect,
}

// servingGroup is the benchmarks that a server of either stack is asked for over veth, one after the other.
func servingGroup() *group {
	marks := func(gvisor float64) []result.Target { return []result.Target{{Against: gvisorXDP, AtLeast: gvisor}} }
	return &group{
		benchmarks: []benchmark{
			{name: "bulk-receive", row: "6", title: "bulk, kernel → stack", unit: "Gbit/s", targets: marks(2.5)},
			{name: "bulk-send", row: "6", title: "bulk, stack → kernel", unit: "Gbit/s", targets: marks(2.5)},
			{name: "http", title: "HTTP keep-alive, 64 connections", unit: "requests/s", targets: marks(2)},
			{name: "connect", title: "connect, 1 request, close, 64 at a time", unit: "connections/s", targets: marks(2)},
		},
		sides:   serverSides(veth.Servers),
		need:    needLab,
		repeats: func(t *times) int { return t.repeats },
		takes: func(t *times, n int) time.Duration {
			return time.Second + time.Duration(n)*(t.warmup+t.window+200*time.Millisecond)
		},
		run: func(ctx context.Context, s *session, t turn) map[string]result.Run {
			works := worksOf(t.names)
			byWork := s.oneServer(ctx, s.runner(), veth.Servers, t, works)
			runs := make(map[string]result.Run)
			for _, n := range t.names {
				runs[n] = byWork[vethWorks[n]]
			}
			return runs
		},
		finish: func(_ *session, found map[string]*result.Benchmark) {
			for n := range vethWorks {
				if b := found[n]; b != nil {
					markBottlenecks(b)
				}
			}
			relateToLimit(found)
		},
	}
}

func worksOf(names []string) []veth.Work {
	var works []veth.Work
	for _, n := range names {
		for _, w := range veth.Works {
			if w.Work == vethWorks[n] {
				works = append(works, w)
			}
		}
	}
	return works
}

// serverSides are the sides that servers play.
func serverSides(servers []veth.Server) []side {
	sides := make([]side, len(servers))
	for i := range servers {
		sides[i] = side{name: servers[i].Name, setup: servers[i].Describe(), kind: servers[i].Kind}
	}
	return sides
}

// needLab says why there can be no network laboratory, if so. It removes what an earlier run left behind.
func needLab() error {
	if err := netlab.Available(); err != nil {
		return err
	}
	if _, err := netlab.Sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: remove what an earlier run left behind:", err)
	}
	return nil
}

// oneServer has the server whose turn it is measured with every work.
func (s *session) oneServer(
	ctx context.Context, r *veth.Runner, servers []veth.Server, t turn, works []veth.Work,
) map[load.Work]result.Run {
	i := slices.IndexFunc(servers, func(v veth.Server) bool { return v.Name == t.side.name })
	runs, ready := r.One(ctx, servers[i], works)
	if ready.Mode != "" {
		s.modes[t.side.name] = ready.Mode
	}
	return runs
}

func (s *session) runner() *veth.Runner {
	server, client := veth.Processors()
	return &veth.Runner{
		Lab:    netlab.Config{Threaded: s.threads, GRO: s.threads},
		Warmup: s.times.warmup, Window: s.times.window, RawWindow: s.times.rawWindow, ServerCPU: server, ClientCPU: client,
		Congestion: app.CongestionControl,
	}
}

// rawGroup is the link's limit.
func rawGroup() *group {
	g := &group{
		benchmarks: []benchmark{{name: "raw", title: "raw AF_XDP, 1514-byte frames received and dropped", unit: "Mpps", limit: true}},
		need:       needLab,
		repeats:    func(t *times) int { return t.repeats },
		takes:      func(t *times, _ int) time.Duration { return t.warmup + t.rawWindow + time.Second },
		run: alone(func(ctx context.Context, s *session, t turn) result.Run {
			return s.runner().Raw(ctx, t.side.kind)
		}),
	}
	for _, d := range veth.RawDrivers {
		g.sides = append(g.sides, side{name: "driver " + d, setup: "both ends; GOMAXPROCS 1", kind: d})
	}
	return g
}

// markBottlenecks says where the client had no time left while the server had.
func markBottlenecks(b *result.Benchmark) {
	for _, side := range b.Sides {
		client := side.Median(func(r result.Run) float64 { return r.Client.Core / r.Seconds })
		server := side.Median(func(r result.Run) float64 { return r.Server.Core / r.Seconds })
		if client.N > 0 && client.Median > 0.95 && server.Median < 0.9 {
			side.ClientBound = true
		}
	}
}

// relateToLimit says how close the bulk benchmarks come to the link's limit: payload bits of the best driver's raw frames.
func relateToLimit(found map[string]*result.Benchmark) {
	raw := found["raw"]
	if raw == nil {
		return
	}
	var limit float64 // Gbit/s
	for _, side := range raw.Sides {
		limit = max(limit, side.Value.Median*veth.RawPayload*8/1000)
	}
	if limit == 0 {
		return
	}
	raw.Notes = append(raw.Notes, fmt.Sprintf("an AF_XDP sender's limit on this link is %.2f Gbit/s of TCP payload, %d bytes a frame",
		limit, veth.RawPayload))
	for _, name := range []string{"bulk-receive", "bulk-send"} {
		b := found[name]
		if b == nil {
			continue
		}
		for _, side := range b.Sides {
			for i := range side.Runs {
				if r := &side.Runs[i]; r.Failed == "" {
					if r.Extra == nil {
						r.Extra = make(map[string]float64)
					}
					r.Extra["of limit %"] = r.Value / limit * 100
				}
			}
		}
	}
}

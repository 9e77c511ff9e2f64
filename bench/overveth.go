package main

import (
	"context"
	"fmt"
	"os"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// vethNames are the benchmarks' names by their work.
var vethNames = map[load.Work]string{
	load.Receive: "bulk-receive", load.Send: "bulk-send", load.HTTP: "http", load.Connect: "connect",
}

// vethWorks are the benchmarks over veth that are wanted.
func vethWorks(found map[string]*result.Benchmark) []veth.Work {
	var works []veth.Work
	for _, w := range veth.Works {
		if found[vethNames[w.Work]] != nil {
			works = append(works, w)
		}
	}
	return works
}

// plan counts the runs to come.
func (s *session) plan(found map[string]*result.Benchmark) int {
	n := 0
	for _, w := range coreWorks(found) {
		n += len(sidesFor(w)) * s.times.coreRepeats
	}
	if len(vethWorks(found)) > 0 {
		n += len(veth.Servers) * s.times.repeats
	}
	if found["raw"] != nil {
		n += len(veth.RawDrivers) * s.times.repeats
	}
	return n + len(crossingsWanted(found))*len(veth.PathServers)*s.times.repeats
}

func (s *session) runner() *veth.Runner {
	server, client := veth.Processors()
	return &veth.Runner{
		Lab:    netlab.Config{Threaded: s.threads, GRO: s.threads},
		Warmup: s.times.warmup, Window: s.times.window, RawWindow: s.times.rawWindow, ServerCPU: server, ClientCPU: client,
		Congestion: app.CongestionControl,
	}
}

// overVeth runs the benchmarks that need a network laboratory. Each side is asked for everything in turn; a repeat goes over all
// sides before the next begins.
func (s *session) overVeth(ctx context.Context, found map[string]*result.Benchmark) {
	works := vethWorks(found)
	if len(works) == 0 && found["raw"] == nil {
		return
	}
	if err := netlab.Available(); err != nil {
		for _, w := range works {
			found[vethNames[w.Work]].Skipped = err.Error()
		}
		if b := found["raw"]; b != nil {
			b.Skipped = err.Error()
		}
		return
	}
	if _, err := netlab.Sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: remove what an earlier run left behind:", err)
	}
	for _, w := range works {
		b := found[vethNames[w.Work]]
		for _, srv := range veth.Servers {
			b.Sides = append(b.Sides, &result.Side{Name: srv.Name, Setup: srv.Describe()})
		}
	}
	r := s.runner()
	for i := range s.times.repeats {
		if len(works) > 0 {
			s.servers(ctx, r, works, found, i)
		}
		if b := found["raw"]; b != nil {
			s.rawLimit(ctx, r, b, i)
		}
	}
	for _, w := range works {
		markBottlenecks(found[vethNames[w.Work]])
	}
}

// servers runs one repeat of every server.
func (s *session) servers(
	ctx context.Context, r *veth.Runner, works []veth.Work, found map[string]*result.Benchmark, repeat int,
) {
	for j, srv := range veth.Servers {
		if ctx.Err() != nil {
			return
		}
		s.progress("over veth, %s, %d of %d", srv.Name, repeat+1, s.times.repeats)
		runs, ready := r.One(ctx, srv, works)
		if ready.Mode != "" {
			s.modes[srv.Name] = ready.Mode
		}
		if ctx.Err() != nil {
			return
		}
		for _, w := range works {
			side := found[vethNames[w.Work]].Sides[j]
			side.Runs = append(side.Runs, runs[w.Work])
		}
	}
}

// rawLimit runs one repeat of the raw benchmark.
func (s *session) rawLimit(ctx context.Context, r *veth.Runner, b *result.Benchmark, repeat int) {
	if len(b.Sides) == 0 {
		b.Ours = "" // a limit, not a contest
		for _, d := range veth.RawDrivers {
			b.Sides = append(b.Sides, &result.Side{Name: "driver " + d, Setup: "both ends; GOMAXPROCS 1"})
		}
	}
	for j, d := range veth.RawDrivers {
		if ctx.Err() != nil {
			return
		}
		s.progress("raw AF_XDP, driver %s, %d of %d", d, repeat+1, s.times.repeats)
		run := r.Raw(ctx, d)
		if ctx.Err() == nil {
			b.Sides[j].Runs = append(b.Sides[j].Runs, run)
		}
	}
}

// markBottlenecks says where the client had no time left while the server had.
func markBottlenecks(b *result.Benchmark) {
	for _, side := range b.Sides {
		client := side.Median(func(r result.Run) float64 { return r.Client.Core / r.Seconds })
		server := side.Median(func(r result.Run) float64 { return r.Server.Core / r.Seconds })
		if client.N > 0 && client.Median > 0.95 && server.Median < 0.9 {
			side.Notes = append(side.Notes, "client-bound")
		}
	}
}

// relateToLimit says how close the bulk benchmarks come to the link's limit: payload bits of the best driver's raw frames.
func (s *session) relateToLimit(found map[string]*result.Benchmark) {
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

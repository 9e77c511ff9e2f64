package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/kernel"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// serving is a group of benchmarks in which servers are asked for work over veth, one kind after the other.
type serving struct {
	benchmarks []benchmark
	works      []veth.Work // one for each benchmark
	servers    []veth.Server
	// shared leaves receiving to the sender's processor, as veth does by itself. Otherwise each side has a kernel thread that
	// receives for it on its own processor.
	shared bool
	// coalesce is how long the kernel waits at both ends for more packets, as network cards do, before it receives; 0: not at all.
	coalesce time.Duration
	mtu      int // 0: 1500
	repeats  func(t *times) int
	finish   func(s *session, found map[string]*result.Benchmark)
	need     map[string]func() error // of servers, by kind
	cards    bool                    // over two network cards, as they are by default, with their offloads
}

func (v serving) group() *group {
	for i := range v.works {
		v.works[i].Name = v.benchmarks[i].name
	}
	g := &group{
		benchmarks: v.benchmarks, need: needLab, finish: v.finish, repeats: v.repeats,
		takes: func(t *times, n int) time.Duration {
			return time.Second + time.Duration(n)*(t.warmup+t.window+400*time.Millisecond)
		},
		run: func(ctx context.Context, s *session, t turn) map[string]result.Run {
			r := s.runner()
			if !v.shared {
				r.Lab.Threaded, r.Lab.GRO = true, true
			}
			r.Lab.MTU, r.Lab.Coalesce = v.mtu, v.coalesce
			if v.cards {
				s.useCards(r)
				r.Lab.Offloads = true
			}
			works := slices.DeleteFunc(slices.Clone(v.works), func(w veth.Work) bool { return !slices.Contains(t.names, w.Name) })
			return s.oneServer(ctx, r, v.servers, t, works)
		},
	}
	if v.cards {
		g.need = needCards
	}
	if g.repeats == nil {
		g.repeats = func(t *times) int { return t.repeats }
	}
	g.sides = serverSides(v.servers)
	for i := range g.sides {
		g.sides[i].need = v.need[g.sides[i].kind]
	}
	return g
}

// Kinds of work; who drives the server is added.
var (
	receiving = veth.Work{Work: load.Receive, Conns: 1, Unit: "Gbit/s", Scale: 8e-9}
	sending   = veth.Work{Work: load.Send, Conns: 1, Unit: "Gbit/s", Scale: 8e-9}
	asking    = veth.Work{Work: load.HTTP, Conns: 256, Unit: "requests/s", Scale: 1}
	visiting  = veth.Work{Work: load.Connect, Conns: 64, Unit: "connections/s", Scale: 1}
)

// by says whose TCP drives the server.
func by(c veth.Client, works ...veth.Work) []veth.Work {
	for i := range works {
		works[i].Client = c
	}
	return works
}

// smallGroup is new connections and small requests.
func smallGroup() *group {
	return serving{
		benchmarks: []benchmark{
			{
				name: "connect", row: "4", title: "connect, 1 request, close, 64 at a time", unit: "connections/s",
				targets: []result.Target{{Against: gvisorXDP, AtLeast: 5}, {Against: "kernel", AtLeast: 2, Aim: 4}},
			},
			{
				name: "requests", row: "5", title: "HTTP keep-alive, 256 connections", unit: "requests/s",
				targets: []result.Target{{Against: gvisorXDP, AtLeast: 5}, {Against: "kernel", AtLeast: 1.5, Aim: 3}},
			},
		},
		works:   by(veth.OurClient, visiting, asking),
		servers: []veth.Server{veth.Ours, veth.GVisorXDP, veth.Kernel, veth.GoNet, veth.Nginx},
		need:    map[string]func() error{veth.Nginx.Kind: needNginx},
		finish:  markClientBound("connect", "requests"),
	}.group()
}

func needNginx() error {
	_, err := kernel.FindNginx()
	return err
}

// bulkGroup is bulk data on one connection.
func bulkGroup() *group {
	targets := []result.Target{{Against: "gVisor", AtLeast: 2.5}, {Figure: ofLimit, AtLeast: 85}}
	return serving{
		benchmarks: []benchmark{
			{name: "bulk-receive", row: "6", title: "bulk, client → server, MTU 1500", unit: "Gbit/s", targets: targets},
			{
				name: "bulk-send", row: "6", title: "bulk, server → client, MTU 1500", unit: "Gbit/s",
				targets: slices.Clone(targets),
			},
		},
		works:   by(veth.OurClient, receiving, sending),
		servers: []veth.Server{veth.Ours, veth.GVisorXDP, veth.KernelXDP, veth.Kernel},
		finish: func(s *session, found map[string]*result.Benchmark) {
			markClientBound("bulk-receive", "bulk-send")(s, found)
			relateToLimit(found)
		},
	}.group()
}

// checkGroup is the same works with the kernel's client, which is dearer, as a check that the client does not make the
// difference.
func checkGroup() *group {
	names := []string{"check-connect", "check-requests", "check-receive", "check-send"}
	return serving{
		benchmarks: []benchmark{
			{name: names[0], title: "the kernel's client: connect, 1 request, close", unit: "connections/s"},
			{name: names[1], title: "the kernel's client: HTTP keep-alive", unit: "requests/s"},
			{name: names[2], title: "the kernel's client: bulk, client → server", unit: "Gbit/s"},
			{name: names[3], title: "the kernel's client: bulk, server → client", unit: "Gbit/s"},
		},
		works:   by(veth.KernelClient, visiting, asking, receiving, sending),
		servers: []veth.Server{veth.Ours, veth.GVisorXDP, veth.Kernel},
		repeats: func(t *times) int { return (t.repeats + 1) / 2 },
		finish:  markClientBound(names...),
	}.group()
}

// softirqGroup is the works on a link as it is by default: a packet's receive processing runs in its sender's softirq, on the
// sender's processor, and no processor is one side's alone. It has the ways to run gVisor that need that, or both processors.
func softirqGroup() *group {
	names := []string{"softirq-connect", "softirq-requests", "softirq-receive", "softirq-send"}
	return serving{
		benchmarks: []benchmark{
			{name: names[0], extra: true, title: "received in the sender's softirq: connect, request, close", unit: "connections/s"},
			{name: names[1], extra: true, title: "received in the sender's softirq: HTTP keep-alive", unit: "requests/s"},
			{name: names[2], extra: true, title: "received in the sender's softirq: bulk, client → server", unit: "Gbit/s"},
			{name: names[3], extra: true, title: "received in the sender's softirq: bulk, server → client", unit: "Gbit/s"},
		},
		works: by(veth.KernelClient, visiting, asking, receiving, sending),
		servers: []veth.Server{
			veth.Ours, veth.GVisorXDP, veth.GVisorXDP.With("gVisor AF_XDP, unbound", func(s *veth.Server) { s.Free = true }),
			veth.GVisorPacket, veth.KernelXDP, veth.Kernel,
		},
		shared: true,
		finish: markClientBound(names...),
	}.group()
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
) map[string]result.Run {
	i := slices.IndexFunc(servers, func(v veth.Server) bool { return v.Name == t.side.name })
	runs, ready := r.One(ctx, servers[i], works)
	for n, run := range runs {
		run.Mode = ready.Mode
		runs[n] = run
	}
	return runs
}

func (s *session) runner() *veth.Runner {
	server, client := veth.Processors()
	return &veth.Runner{
		Warmup: s.times.warmup, Window: s.times.window, RawWindow: s.times.rawWindow, ServerCPU: server, ClientCPU: client,
		Congestion: app.CongestionControl, Prefer: s.prefer, Profile: s.profileTo,
	}
}

// markClientBound says where the client had no time left while the server had.
func markClientBound(names ...string) func(*session, map[string]*result.Benchmark) {
	return func(_ *session, found map[string]*result.Benchmark) {
		for _, n := range names {
			if found[n] == nil {
				continue
			}
			for _, side := range found[n].Sides {
				client := side.Median(func(r result.Run) float64 { return r.Client.Core / r.Seconds })
				server := side.Median(func(r result.Run) float64 { return r.Server.Core / r.Seconds })
				if client.N > 0 && client.Median > 0.95 && server.Median < 0.9 {
					side.ClientBound = true
				}
			}
		}
	}
}

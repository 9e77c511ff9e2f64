package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/program"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// generator is a client whose cost is measured.
type generator struct {
	client      veth.Client
	name, setup string
}

// The load generators. The kernel's are one thread, as a shard of ours is.
var (
	ourLoad  = generator{veth.OurLoad, ourName, "xdpstack load: AF_XDP, native driver, one shard"}
	wrk      = generator{program.Wrk, "kernel, wrk", "wrk, one thread"}
	ab       = generator{program.AB, "kernel, ab", "ab, without keep-alive"}
	ownEpoll = generator{veth.KernelClient, "kernel, epoll", "a loop of the benchmarks' own, which allocates nothing"}
)

// driven makes a group in which each side is a load generator that drives the same server. v says how they are joined, and has the
// benchmarks and their works.
func (v serving) driven(server veth.Server, clients ...generator) *group {
	for _, c := range clients {
		v.servers = append(v.servers, server.With(c.name, func(s *veth.Server) {
			s.Client, s.Setup = c.client, c.setup+"; the server: "+server.Setup
			if v.coalesce > 0 {
				s.Setup += fmt.Sprintf("; both ends receive after %v", v.coalesce)
			}
		}))
	}
	g := v.group()
	for i, c := range clients {
		g.sides[i].need = func() error {
			if server.Kind == veth.Nginx.Kind {
				if err := needNginx(); err != nil {
					return err
				}
			}
			if program.Known(string(c.client)) {
				return program.Find(string(c.client))
			}
			return nil
		}
	}
	return g
}

// coalesced is how long packets wait to be received together where generators are compared. Network cards delay their interrupts by
// as much, 20 to 100 µs. A veth does not: it wakes whoever receives for each packet, and with a server that is slower than its client
// little else is measured.
const coalesced = 100 * time.Microsecond

// generatorGroups compare load generators by the processor time that they take for the same work.
func generatorGroups() []*group {
	perClient := func(against string, atLeast float64) []result.Target {
		return []result.Target{{Figure: veth.PerClientCPU, Against: against, AtLeast: atLeast}}
	}
	many := visiting
	many.Conns = 1024
	// What a generator that has a processor for itself does: it does not sleep, and nothing else is received there.
	arriving := veth.Work{Work: load.Arrive, Conns: 256, Unit: "µs", Spin: time.Second}
	return []*group{
		serving{
			benchmarks: []benchmark{{
				name: "load-requests", row: "16", title: "requests to nginx, 256 connections", unit: "requests/s", extra: true,
				targets: perClient(wrk.name, 2),
			}},
			works: []veth.Work{asking}, coalesce: coalesced,
		}.driven(veth.Nginx, ourLoad, wrk, ownEpoll),
		serving{
			benchmarks: []benchmark{{
				name: "load-requests-nethttp", row: "16", unit: "requests/s", extra: true,
				title:   "requests to net/http on the kernel, 256 connections",
				targets: perClient(wrk.name, 2),
			}},
			works: []veth.Work{asking}, coalesce: coalesced,
		}.driven(veth.GoNetHTTP, ourLoad, wrk, ownEpoll),
		serving{
			benchmarks: []benchmark{
				{
					name: "load-connect", row: "17", unit: "connections/s", extra: true,
					title:   "connections to nginx, a request on each, 64 at a time",
					targets: perClient("kernel", 3),
				},
				{
					name: "load-connect-1024", row: "17", title: "the same, 1,024 at a time", unit: "connections/s", extra: true,
					targets: perClient("kernel", 3),
				},
			},
			works: []veth.Work{visiting, many}, coalesce: coalesced,
		}.driven(veth.Nginx, ourLoad, wrk, ab, ownEpoll),
		serving{
			benchmarks: []benchmark{{
				name: "load-schedule", row: "18", unit: "µs", extra: true, lower: true,
				title:   "how late 100,000 requests a second are sent: median",
				targets: []result.Target{{Figure: "p99 µs", AtMost: 50}},
			}},
			works:  []veth.Work{arriving},
			shared: true,
		}.driven(veth.Ours, ourLoad),
	}
}

// iperf3Group is the iperf3 of the kernel's side as the client of either server.
func iperf3Group() *group {
	g := serving{
		benchmarks: []benchmark{
			{name: "iperf3-receive", row: "19", title: "iperf3, client → server", unit: "Gbit/s", extra: true},
			{name: "iperf3-send", row: "19", title: "iperf3 -R, server → client", unit: "Gbit/s", extra: true},
		},
		works:   by(program.IPerf3, receiving, sending),
		servers: []veth.Server{veth.OursIPerf3, veth.IPerf3},
	}.group()
	lab := g.need
	g.need = func() error { return errors.Join(lab(), program.Find(program.IPerf3)) }
	return g
}

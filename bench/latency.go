package main

import (
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// sleepingName is the side of ours that sleeps as soon as there is nothing to do.
const sleepingName = "xdpstack, sleeping"

// latencyGroup is one request at a time on one connection. The link is as it is by default: what receives for a server has no
// thread that would have to be scheduled first.
func latencyGroup() *group {
	ours := veth.Ours.With(veth.Ours.Name, func(s *veth.Server) { s.Spin, s.Setup = time.Second, s.Setup+", which never sleeps" })
	sleeping := veth.Ours.With(sleepingName, func(s *veth.Server) { s.Spin, s.Setup = -1, s.Setup+", which sleeps at once" })
	return serving{
		benchmarks: []benchmark{{
			name: "latency", row: "8", title: "request and response of 64 bytes, 1 connection: median", unit: "µs", lower: true,
			targets: []result.Target{
				{Against: "kernel", AtLeast: 1}, {Against: gvisorXDP, AtLeast: 1},
				{Figure: "p99 µs", Lower: true, Against: "kernel", AtLeast: 1},
				{Figure: "p99 µs", Lower: true, Against: gvisorXDP, AtLeast: 1},
				{Side: sleepingName, Against: "kernel", AtLeast: 0.9},
			},
		}},
		works:   []veth.Work{{Work: load.Ping, Conns: 1, Unit: "µs", Client: veth.OurClient, Spin: time.Second}},
		servers: []veth.Server{ours, sleeping, veth.GVisorXDP, veth.Kernel},
		shared:  true,
	}.group()
}

package main

import (
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// oneShardName is the side of ours with half of everything.
const oneShardName = "one shard"

// shardsGroup is two shards beside one: pairs of a server's and a client's shard that share a processor, one on one and two on
// two.
func shardsGroup() *group {
	two := veth.Ours.With(veth.Ours.Name, func(s *veth.Server) { s.Pairs, s.Threads, s.Setup = 2, 3, s.Setup+", two shards" })
	one := veth.Ours.With(oneShardName, func(s *veth.Server) { s.Pairs = 1 })
	return serving{
		benchmarks: []benchmark{{
			name: "shards", row: "12", title: "HTTP keep-alive, two shards on two queues", unit: "requests/s",
			targets: []result.Target{{Figure: veth.PerServerCPU, Against: oneShardName, AtLeast: 0.9}},
		}},
		works:   by(veth.OurClient, asking),
		servers: []veth.Server{two, one},
	}.group()
}

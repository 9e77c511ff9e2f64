package main

import (
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// netHTTPGroup is net/http on either TCP, unchanged.
func netHTTPGroup() *group {
	asking := asking
	asking.Conns = 64
	return serving{
		benchmarks: []benchmark{{
			name: "nethttp", row: "11", title: "net/http, keep-alive, 64 connections", unit: "requests/s",
			targets: []result.Target{{Figure: veth.PerServerCPU, Against: "kernel", AtLeast: 1}},
		}},
		works:   by(veth.OurClient, asking),
		servers: []veth.Server{veth.OursNetHTTP, veth.GoNetHTTP},
		finish:  markClientBound("nethttp"),
	}.group()
}

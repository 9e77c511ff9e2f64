package main

import (
	"context"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/kernel"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// The proxies. Each hands connections on to one and the same nginx, on another processor, whose time is not theirs.
var (
	ourProxy = veth.Server{
		Name: ourName, Kind: "proxy-xdpstack", Threads: 2, Setup: "xdpstack proxy: AF_XDP, native driver, KeepProcessor, AdaptiveFill",
	}
	nginxStream = veth.Server{
		Name: "kernel, nginx stream", Kind: "proxy-nginx", Threads: 1, Setup: "nginx, stream, one worker", Kernel: true,
	}
	haproxy = veth.Server{Name: "kernel, HAProxy", Kind: "proxy-haproxy", Threads: 1, Setup: "HAProxy, TCP, one thread", Kernel: true}
)

// proxyGroup is connections and requests that are handed on, by what each costs the proxy.
func proxyGroup() *group {
	targets := []result.Target{{Figure: veth.PerServerCPU, Against: "kernel", AtLeast: 1}}
	return serving{
		benchmarks: []benchmark{
			{
				name: "proxy-connect", title: "proxy to nginx: connect, 1 request, close, 64 at a time", unit: "connections/s",
				extra: true, targets: targets,
			},
			{
				name: "proxy-requests", title: "proxy to nginx: requests, 256 connections", unit: "requests/s",
				extra: true, targets: targets,
			},
		},
		works: by(veth.OurClient, visiting, asking), coalesce: coalesced,
		servers: []veth.Server{ourProxy, nginxStream, haproxy},
		need: map[string]func() error{
			ourProxy.Kind: needNginx, nginxStream.Kind: kernel.FindStream,
			haproxy.Kind: func() error { _, err := kernel.FindHAProxy(); return err },
		},
	}.group()
}

// serveProxy is the child that plays a proxy, with what it hands connections on to.
func serveProxy(ctx context.Context, emit child.Emit, kind string, cfg ours.ServerConfig) (any, error) {
	backend, err := kernel.StartBackend(ctx)
	if err != nil {
		return nil, err
	}
	defer backend.Close()
	switch kind {
	case nginxStream.Kind:
		return serveProgram(ctx, emit, cfg.Address, kernel.StartStream)
	case haproxy.Kind:
		return serveProgram(ctx, emit, cfg.Address, kernel.StartHAProxy)
	}
	s, err := ours.NewProxy(cfg, kernel.Backend)
	if err != nil {
		return nil, err
	}
	if err := emit("ready", veth.Ready{Mode: s.Describe()}); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return s.Counters(), s.Close()
}

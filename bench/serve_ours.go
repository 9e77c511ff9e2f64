package main

import (
	"context"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/bpf"
)

func serveOurs(ctx context.Context, emit child.Emit, kind string, cfg ours.ServerConfig) (any, error) {
	var s *ours.Server
	var err error
	switch kind {
	case watchedKind:
		return serveWatched(ctx, emit, cfg)
	case "xdpstack-nethttp":
		s, err = ours.NewNetHTTP(cfg)
	case "xdpstack-iperf3":
		s, err = ours.NewIPerf3(cfg)
	case "xdpstack-asavie":
		cfg.Driver = afxdp.DriverAsavie
		s, err = ours.NewServer(cfg)
	case "xdpstack-shield":
		cfg.Shield = bpf.ShieldAuto
		s, err = ours.NewServer(cfg)
	default:
		s, err = ours.NewServer(cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := emit("ready", veth.Ready{Mode: s.Describe()}); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return s.Counters(), s.Close()
}

package main

import (
	"context"
	"net/netip"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

func serveOurs(ctx context.Context, emit child.Emit, kind, ifname string, addr netip.Prefix, congestion string) (any, error) {
	var s *ours.Server
	var err error
	switch kind {
	case "xdpstack-nethttp":
		s, err = ours.NewNetHTTP(ifname, addr, congestion)
	case "xdpstack-asavie":
		s, err = ours.NewServer("asavie", ifname, addr, congestion)
	default:
		s, err = ours.NewServer("native", ifname, addr, congestion)
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

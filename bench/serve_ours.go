package main

import (
	"context"
	"net/netip"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

func serveOurs(ctx context.Context, emit child.Emit, kind, ifname string, addr netip.Prefix, congestion string) (any, error) {
	driver := "native"
	if kind == "xdpstack-asavie" {
		driver = "asavie"
	}
	s, err := ours.NewServer(driver, ifname, addr, congestion)
	if err != nil {
		return nil, err
	}
	if err := emit("ready", veth.Ready{Mode: s.Describe()}); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return s.Counters(), s.Close()
}

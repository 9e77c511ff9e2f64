package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/safchain/ethtool"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// copyName is the side of ours that has the driver copy frames. The other one insists on zero-copy.
const copyName = "copy mode"

// lossPart is the part of the most that an end can receive at which no frame may be lost.
const lossPart = 0.5

// zeroCopyGroups are zero-copy beside copy mode, on the same two network cards.
func zeroCopyGroups() []*group {
	sending := result.Target{Against: copyName, AtLeast: 4}
	if cardDriver() == "virtio_net" { // whose every frame costs the emulation more than the copy
		sending = result.Target{Against: copyName, Aim: 2}
	}
	return []*group{
		zeroCopyRaw(sending), zeroCopyGenerated(), zeroCopyBulk("kernel", veth.KernelClient), zeroCopyBulk("stack", veth.OurClient),
	}
}

// cardDriver names the driver of the first card, "" if there is none.
func cardDriver() string {
	cards, ok, _ := netlab.CardsOfEnvironment()
	tool, err := ethtool.NewEthtool()
	if !ok || err != nil {
		return ""
	}
	defer tool.Close()
	name, _ := tool.DriverName(cards[0])
	return name
}

// needCards says why there is nothing that could be zero-copy, if so.
func needCards() error {
	if _, ok, err := netlab.CardsOfEnvironment(); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("it needs two connected network cards whose driver has zero-copy, named by %s, "+
			"and veth has none: make bench-zerocopy boots a virtual machine with such cards", netlab.CardsVariable))
	}
	return needLab()
}

// useCards has the runner's laboratories made of the cards. needCards has found them.
func (s *session) useCards(r *veth.Runner) {
	r.Lab.Cards, _, _ = netlab.CardsOfEnvironment()
	r.ZeroCopyPeer = true
}

// zeroCopyRaw is raw frames. Each end's interrupts are on the processor of its process.
func zeroCopyRaw(sending result.Target) *group {
	g := &group{
		sides: []side{
			{name: ourName, setup: "zero-copy, native driver; GOMAXPROCS 1", kind: afxdp.ModeZeroCopy.String()},
			{name: copyName, setup: "native driver; GOMAXPROCS 1", kind: afxdp.ModeCopy.String()},
		},
		need:    needCards,
		repeats: func(t *times) int { return t.repeats },
		takes: func(t *times, n int) time.Duration {
			return time.Duration(n) * (t.warmup + t.rawWindow + 5*time.Second)
		},
	}
	works := make(map[string]rawlink.Config)
	for _, w := range []struct {
		name   string
		role   rawlink.Role
		size   int
		what   string
		target result.Target
	}{
		{"send", rawlink.Send, 64, "sent", sending},
		{"send", rawlink.Send, 1514, "sent", sending},
		{"receive", rawlink.Drop, 64, "received and dropped", result.Target{Against: copyName, Aim: 1}},
		{"receive", rawlink.Drop, 1514, "received and dropped", result.Target{Against: copyName, Aim: 1}},
		{"forward", rawlink.Forward, 1514, "received and sent back", result.Target{Against: copyName, Aim: 2}},
	} {
		b := benchmark{
			name: fmt.Sprintf("zerocopy-%s-%d", w.name, w.size), row: "13", unit: "Mpps", extra: true,
			title: fmt.Sprintf("raw, frames of %d bytes %s", w.size, w.what), targets: []result.Target{w.target},
		}
		works[b.name] = rawlink.Config{Role: w.role, Size: w.size}
		g.benchmarks = append(g.benchmarks, b)
	}
	loss := benchmark{
		name: "zerocopy-loss-64", row: "13", unit: "frames", lower: true, extra: true,
		title:   "frames of 64 bytes that were lost behind the card, at half of the most",
		targets: []result.Target{{Lower: true}, {Side: copyName, Lower: true}},
	}
	works[loss.name] = rawlink.Config{Role: rawlink.Count, Size: 64}
	g.benchmarks = append(g.benchmarks, loss)
	g.run = func(ctx context.Context, s *session, t turn) map[string]result.Run {
		runs := make(map[string]result.Run)
		for _, n := range t.names {
			r := s.runner()
			s.useCards(r)
			cfg := works[n]
			cfg.Driver, cfg.ZeroCopy = afxdp.DriverNative, t.side.kind == afxdp.ModeZeroCopy.String()
			if cfg.Role == rawlink.Count {
				runs[n] = r.Loss(ctx, cfg, lossPart)
			} else {
				runs[n] = r.Raw(ctx, cfg)
			}
		}
		return runs
	}
	return g
}

// zeroCopyBulk is bulk data on one connection against a peer: the kernel with its offloads, or this stack, which costs less and is in
// zero-copy mode for either side.
func zeroCopyBulk(peer string, by veth.Client) *group {
	described := map[veth.Client]string{veth.KernelClient: "the kernel", veth.OurClient: "xdpstack, zero-copy"}[by]
	targets := []result.Target{{Against: copyName, AtLeast: 2}}
	names := []string{"zerocopy-bulk-receive-" + peer, "zerocopy-bulk-send-" + peer}
	works := []veth.Work{receiving, sending}
	for i := range works {
		works[i].Client, works[i].Frame, works[i].Unit, works[i].Scale = by, veth.RawPayload, "Mbit/s", 8e-6
	}
	return serving{
		benchmarks: []benchmark{
			{
				name: names[0], row: "13", title: "bulk, client → server; client: " + described, unit: "Mbit/s", extra: true,
				targets: targets,
			},
			{
				name: names[1], row: "13", title: "bulk, server → client; client: " + described, unit: "Mbit/s", extra: true,
				targets: slices.Clone(targets),
			},
		},
		works: works,
		servers: []veth.Server{
			veth.Ours.With(ourName, func(s *veth.Server) { s.ZeroCopy, s.Setup = true, s.Setup+", zero-copy" }),
			veth.Ours.With(copyName, func(*veth.Server) {}),
		},
		shared: true,
		cards:  true,
		finish: markClientBound(names...),
	}.group()
}

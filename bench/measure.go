package main

import (
	"context"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// measureGroup is what it costs a receiver to measure what a generator sends: loss, order, latency.
func measureGroup() *group {
	g := &group{
		sides: []side{
			{name: ourName, setup: "measured, arrival noted by the XDP program; GOMAXPROCS 1", kind: string(rawlink.ByProgram)},
			{name: "worker's time", setup: "measured, one time of arrival for a batch", kind: string(rawlink.ByWorker), noPeer: true},
			{name: "dropped", setup: "not looked at", kind: string(rawlink.NoArrival), noPeer: true},
		},
		need:    needLab,
		repeats: func(t *times) int { return t.repeats },
		takes:   func(t *times, n int) time.Duration { return time.Duration(n) * (t.warmup + t.rawWindow + time.Second) },
	}
	sizes := make(map[string]int)
	for _, size := range []int{64, 1514} {
		b := benchmark{
			name: fmt.Sprintf("measure-%d", size), unit: "ns/frame", lower: true, limit: true, extra: true,
			title: fmt.Sprintf("handling of received frames of %d bytes with a signature", size),
		}
		sizes[b.name] = size
		g.benchmarks = append(g.benchmarks, b)
	}
	g.run = func(ctx context.Context, s *session, t turn) map[string]result.Run {
		runs := make(map[string]result.Run)
		for _, n := range t.names {
			r := s.runner().Raw(ctx, rawlink.Config{Role: rawlink.Measure, Driver: afxdp.DriverNative, Size: sizes[n],
				Arrival: rawlink.Arrival(t.side.kind)})
			if r.Failed == "" {
				r.Extra["received Mpps"] = r.Value
				r.Value = r.Extra[rawlink.Handling]
				delete(r.Extra, rawlink.Handling)
			}
			runs[n] = r
		}
		return runs
	}
	return g
}

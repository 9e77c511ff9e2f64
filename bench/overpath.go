package main

import (
	"context"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// crossing is a benchmark over a bad path: a direction, a congestion control, and what the path does.
type crossing struct {
	name       string
	work       load.Work
	congestion string
	path       veth.Path
	conns      int  // that share the path
	extra      bool // only when it is asked for by name
}

// oneWay is half of the round trip of every path.
const oneWay = 10 * time.Millisecond

// crossings are the benchmarks over a bad path, in the order in which they are shown.
//
// Where the path has no rate for which they would compete, each connection does as if it were alone, and the mean of many says in a
// short time what one would take long for. They are as many as the hop can carry without adding to the delay. BBR does not take a
// loss as a sign of congestion, so that its path needs a rate that ends its growth; the queue holds what is on the way in a round trip.
var crossings = makeCrossings()

func makeCrossings() []crossing {
	var c []crossing
	for _, work := range []load.Work{load.Receive, load.Send} {
		for _, loss := range []struct {
			percent float64
			conns   int
		}{{0.1, 6}, {1, 16}, {2, 16}} {
			c = append(c, crossing{
				name: fmt.Sprintf("loss-%s-%g", work, loss.percent), work: work, congestion: "cubic", conns: loss.conns,
				path: veth.Path{Delay: oneWay, Loss: loss.percent / 100},
			})
		}
	}
	for _, congestion := range []string{"reno", "bbr"} {
		for _, work := range []load.Work{load.Receive, load.Send} {
			x := crossing{
				name: fmt.Sprintf("%s-loss-%s-1", congestion, work), work: work, congestion: congestion, extra: true,
				path: veth.Path{Delay: oneWay, Loss: 0.01}, conns: 16,
			}
			if congestion == "bbr" {
				x.path.Rate, x.path.Queue, x.conns = 100e6, 165, 1 // 165 full frames are 250 kB
			}
			c = append(c, x)
		}
	}
	return c
}

// benchmark describes the crossing for the table.
func (x *crossing) benchmark() benchmark {
	direction := "kernel → stack"
	if x.work == load.Send {
		direction = "stack → kernel"
	}
	rate := ""
	if x.path.Rate > 0 {
		rate = fmt.Sprintf(", at most %d Mbit/s", x.path.Rate/1e6)
	}
	title := fmt.Sprintf("%s, %s, 20 ms, %g %% lost%s, connections: %d", direction, x.congestion, x.path.Loss*100, rate, x.conns)
	return benchmark{
		name: x.name, title: title, unit: "Mbit/s", extra: x.extra, targets: []result.Target{{Against: "kernel", AtLeast: 1}},
	}
}

// crossingGroups are the benchmarks over bad paths. The sides of a repeat meet the same seed.
func crossingGroups() []*group {
	var groups []*group
	for _, x := range crossings {
		groups = append(groups, &group{
			benchmarks: []benchmark{x.benchmark()},
			sides:      serverSides(veth.PathServers),
			need:       netlab.Available,
			repeats:    func(t *times) int { return t.pathRepeats },
			takes:      func(t *times, _ int) time.Duration { return t.pathWarmup + t.pathWindow + time.Second },
			run: alone(func(ctx context.Context, s *session, t turn) result.Run {
				r := s.runner()
				path := x.path
				path.Seed = uint64(t.repeat + 1)
				r.Path, r.Congestion, r.Warmup, r.Window = &path, x.congestion, s.times.pathWarmup, s.times.pathWindow
				return s.oneServer(ctx, r, veth.PathServers, t, []veth.Work{veth.PathWork(x.name, x.work, x.conns)})[x.name]
			}),
		})
	}
	return groups
}

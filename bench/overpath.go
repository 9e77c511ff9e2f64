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
// short time what one would take long for. They are as many as the hop can carry without adding to the delay. BBR does not take a loss as a sign of congestion, so
// that its path needs a rate that ends its growth; the queue holds what is on the way in a round trip.
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
	return benchmark{name: x.name, title: title, unit: "Mbit/s", target: 1, against: "kernel", extra: x.extra}
}

func crossingBenchmarks() []benchmark {
	b := make([]benchmark, len(crossings))
	for i := range crossings {
		b[i] = crossings[i].benchmark()
	}
	return b
}

// crossingsWanted are those of the benchmarks over bad paths that are wanted.
func crossingsWanted(found map[string]*result.Benchmark) []crossing {
	var c []crossing
	for _, x := range crossings {
		if found[x.name] != nil {
			c = append(c, x)
		}
	}
	return c
}

// overPath runs the benchmarks over bad paths. A repeat goes over all of them, and the sides take turns at each; they meet the same
// seed.
func (s *session) overPath(ctx context.Context, found map[string]*result.Benchmark) {
	wanted := crossingsWanted(found)
	if len(wanted) == 0 {
		return
	}
	if err := netlab.Available(); err != nil {
		for _, x := range wanted {
			found[x.name].Skipped = err.Error()
		}
		return
	}
	for _, x := range wanted {
		for _, srv := range veth.PathServers {
			found[x.name].Sides = append(found[x.name].Sides, &result.Side{Name: srv.Name, Setup: srv.Describe()})
		}
	}
	for i := range s.times.repeats {
		for _, x := range wanted {
			s.cross(ctx, &x, found[x.name], i)
		}
	}
}

// cross runs one repeat of both sides.
func (s *session) cross(ctx context.Context, x *crossing, b *result.Benchmark, repeat int) {
	r := s.runner()
	path := x.path
	path.Seed = uint64(repeat + 1)
	r.Path, r.Congestion, r.Warmup, r.Window = &path, x.congestion, s.times.pathWarmup, s.times.pathWindow
	for j, srv := range veth.PathServers {
		if ctx.Err() != nil {
			return
		}
		s.progress("over a bad path, %s, %s, %d of %d", x.name, srv.Name, repeat+1, s.times.repeats)
		runs, ready := r.One(ctx, srv, []veth.Work{veth.PathWork(x.work, x.conns)})
		if ctx.Err() != nil {
			return
		}
		if ready.Mode != "" {
			s.modes[srv.Name] = ready.Mode
		}
		b.Sides[j].Runs = append(b.Sides[j].Runs, runs[x.work])
	}
}

package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/scale"
)

// How the connections of a pair are held: each is asked once in the interval, for one interval.
const (
	pairInterval = 20 * time.Second
	pairPort     = 7
	pairTimeout  = 5 * time.Minute
)

// millionGroups are the benchmarks of a million connections of which both ends are ours. They take most of a minute and more than a GiB
// each, and so are run only when they are asked for.
func millionGroups() []*group {
	var groups []*group
	for _, b := range []struct {
		name, title, kind, setup string
		need                     func() error
	}{
		{"million-memory", "a million connections, both ends, in memory", "memory", "two stacks in one process, a pipe in memory", nil},
		{"million-veth", "a million connections, both ends, over veth", "veth", "two stacks in one process, AF_XDP on both ends", needRoot},
	} {
		groups = append(groups, &group{
			benchmarks: []benchmark{{
				name: b.name, row: "9b", title: b.title, unit: "bytes/pair", lower: true, extra: true,
				targets: []result.Target{{AtMost: 1280}, {Figure: "connections", AtLeast: million}},
			}},
			sides: []side{{
				name: ourName, setup: b.setup + ", 64 source addresses, a request on each in 20 s", kind: b.kind, need: b.need,
			}},
			repeats: func(*times) int { return 1 },
			takes:   func(*times, int) time.Duration { return 50 * time.Second },
			run: alone(func(ctx context.Context, s *session, t turn) result.Run {
				return s.pairOnce(ctx, t.side.kind)
			}),
		})
	}
	return groups
}

// measurePair is the child that holds connections between two stacks.
func measurePair(_ context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("pair", flag.ContinueOnError)
	kind := fs.String("side", "", "memory or veth")
	held := fs.Int("hold", 0, "how many connections to hold")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	open := scale.InMemory
	if *kind == "veth" {
		open = scale.OverVeth
	}
	e, err := open(*held)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	cfg := scale.PairConfig{Connections: *held, Interval: pairInterval, Hold: pairInterval}
	return scale.HoldPair(e.Client, e.Server, pairPort, cfg, func() error { return emit(child.KindStart, nil) })
}

func (s *session) pairOnce(ctx context.Context, kind string) result.Run {
	cmd := exec.Command("/proc/self/exe", "pair", "-side", kind, "-hold", strconv.Itoa(million))
	cmd.Env = os.Environ()
	child.Profiled(cmd, s.profileTo)
	p, err := child.Start(cmd)
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	defer p.Stop()
	var h scale.Pair
	if err := p.Next(ctx, child.KindDone, pairTimeout, &h); err != nil {
		return result.Run{Failed: err.Error()}
	}
	extra := map[string]float64{
		"connections": float64(h.Connections), "seconds to open": h.Seconds, "resident MiB": h.Resident / (1 << 20),
		"heap bytes": h.Heap, "collection ms": h.Collection * 1000, "requests while held": float64(h.Asked),
		"longest answer ms": h.Late * 1000, "seconds to ask all": h.Asking, "segments sent again": float64(h.Retries),
	}
	l := h.Listed
	extra["listing s"], extra["listing MiB"], extra["listing grew MiB"] = l.Seconds, l.Bytes/(1<<20), l.Growth/(1<<20)
	extra["longest answer while listed ms"] = l.Late * 1000
	gc := p.GC()
	if gc != nil {
		extra["pause ms"] = gc.PauseMax * 1000
	}
	return result.Run{Value: h.Bytes, Seconds: h.Seconds, GC: gc, Extra: extra}
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// A group is benchmarks that are measured together: with each start of one of its sides, all of them that are wanted. Most groups
// have a single one. To add a benchmark, write its group in a file of its own and name it in groups.
type group struct {
	benchmarks []benchmark
	sides      []side // in the order in which they take turns and are shown; ours first
	// need says why nothing of the group can be measured here, if so; nil needs nothing.
	need func() error
	// repeats is how often each side has its turn.
	repeats func(t *times) int
	// takes is about how long one turn takes in which n benchmarks are measured.
	takes func(t *times, n int) time.Duration
	// run is one turn of one side. It returns a run for each benchmark that was asked for, by name; a failure is in the run.
	run func(ctx context.Context, s *session, t turn) map[string]result.Run
	// finish may add notes when all turns were had; nil adds none. The summaries are computed already.
	finish func(s *session, found map[string]*result.Benchmark)
}

// turn says what to do once.
type turn struct {
	side   *side
	repeat int      // from 0 on; sides of one repeat have the same one
	names  []string // the benchmarks that are wanted, in the group's order
}

// benchmark is one kind of work, as the report describes it.
type benchmark struct {
	name, title, unit string
	row               string // in the table of targets of docs/benchmarks.md; empty for what has no target there
	lower             bool   // less is better
	limit             bool   // no contest: nothing is compared with our side
	overhead          string // the side that is the cost of measuring
	targets           []result.Target
	extra             bool // run only when it is asked for by name
}

// side is one of the systems that a group compares.
type side struct {
	name, setup string
	kind        string       // what the group's run makes of it
	noPeer      bool         // a cost or a limit, nothing to compare with
	need        func() error // why it cannot be run here, if so; nil needs nothing
}

// groups are in the order in which they are shown.
func groups() []*group {
	return slices.Concat(coreGroups(), scaleGroups(), millionGroups(), []*group{
		smallGroup(), bulkGroup(),
	}, jumboGroups(), []*group{
		rawGroup(), packetGroup(), measureGroup(),
	}, rateGroups(), []*group{
		latencyGroup(), netHTTPGroup(), shardsGroup(), checkGroup(), softirqGroup(),
	}, generatorGroups(), []*group{iperf3Group(), proxyGroup(), watchGroup()}, floodGroups(), crossingGroups(), zeroCopyGroups())
}

const (
	ourName    = "xdpstack"
	coreGVisor = "gVisor"
	gvisorXDP  = "gVisor AF_XDP"
)

// alone makes a group's run of a function that measures its only benchmark.
func alone(measure func(ctx context.Context, s *session, t turn) result.Run) func(context.Context, *session, turn) map[string]result.Run {
	return func(ctx context.Context, s *session, t turn) map[string]result.Run {
		return map[string]result.Run{t.names[0]: measure(ctx, s, t)}
	}
}

func names(groups []*group) []string {
	var n []string
	for _, g := range groups {
		for i := range g.benchmarks {
			n = append(n, g.benchmarks[i].name)
		}
	}
	return n
}

// checkOnly says whether each of the prefixes begins some benchmark's name.
func checkOnly(prefixes []string, groups []*group) error {
	all := names(groups)
	for _, p := range prefixes {
		if !slices.ContainsFunc(all, func(n string) bool { return strings.HasPrefix(n, p) }) {
			return fmt.Errorf("-only %s: there is no such benchmark; the names are %s", p, strings.Join(all, ", "))
		}
	}
	return nil
}

// wanted reports whether a benchmark is to be run.
func (o *options) wanted(b *benchmark) bool {
	if len(o.only) == 0 {
		return !b.extra
	}
	return slices.ContainsFunc(o.only, func(p string) bool { return strings.HasPrefix(b.name, p) })
}

// wantedOf returns the names of a group's benchmarks that are to be run.
func (o *options) wantedOf(g *group) []string {
	var n []string
	for i := range g.benchmarks {
		if o.wanted(&g.benchmarks[i]) {
			n = append(n, g.benchmarks[i].name)
		}
	}
	return n
}

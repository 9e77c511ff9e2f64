package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// session is one run of the program.
type session struct {
	options
	started time.Time
	report  result.Report
	found   map[string]*result.Benchmark // of the report, by name
	plan    plan

	profileTo string // file for a profile of the turn that is being had; empty for none
}

// job is a group with what is wanted of it.
type job struct {
	*group
	names []string
	sides []int // those that can be run
}

// all runs what is wanted and returns the report, also when the context ends. A round gives every side of every group one turn, so
// that the repeats of a benchmark are spread over the whole time, and a run that is stopped has something of everything.
func (s *session) all(ctx context.Context, groups []*group) *result.Report {
	jobs := s.enlist(groups)
	fmt.Fprintf(os.Stderr, "%d benchmarks, %d turns, about %v\n",
		len(s.report.Benchmarks), s.plan.turns, s.plan.estimate.Round(time.Second))
	rounds := 0
	for _, j := range jobs {
		rounds = max(rounds, j.repeats(&s.times))
	}
	for i := range rounds {
		for _, j := range jobs {
			if n := j.repeats(&s.times); i*n%rounds < n { // fewer repeats than rounds are spread over them, from the first on
				s.round(ctx, j, i*n/rounds)
			}
		}
	}
	for _, b := range s.report.Benchmarks {
		b.Finish()
	}
	for _, g := range groups {
		if g.finish != nil {
			g.finish(s, s.found)
		}
	}
	for _, b := range s.report.Benchmarks {
		b.Judge()
	}
	if s.profile != "" {
		s.profiles(ctx, jobs)
	}
	s.report.Conditions = s.conditions()
	return &s.report
}

// enlist makes the plan, and the report's benchmarks and sides.
func (s *session) enlist(groups []*group) []job {
	s.found = make(map[string]*result.Benchmark)
	var jobs []job
	for _, g := range groups {
		j := job{group: g, names: s.wantedOf(g)}
		if len(j.names) == 0 {
			continue
		}
		for i := range g.benchmarks {
			if s.wanted(&g.benchmarks[i]) {
				s.enter(g, &g.benchmarks[i])
			}
		}
		if g.need != nil {
			if err := g.need(); err != nil {
				for _, n := range j.names {
					s.found[n].Skipped = err.Error()
				}
				continue
			}
		}
		for i := range g.sides {
			if s.found[j.names[0]].Sides[i].Skipped == "" {
				j.sides = append(j.sides, i)
			}
		}
		s.plan.add(len(j.sides)*g.repeats(&s.times), g.takes(&s.times, len(j.names)))
		jobs = append(jobs, j)
	}
	return jobs
}

// enter adds a benchmark to the report.
func (s *session) enter(g *group, b *benchmark) {
	r := &result.Benchmark{
		Name: b.name, Row: b.row, Title: b.title, Unit: b.unit, Lower: b.lower, Ours: ourName, Overhead: b.overhead, Targets: b.targets,
	}
	if b.limit {
		r.Ours = ""
	}
	for i := range g.sides {
		side := &g.sides[i]
		rs := &result.Side{Name: side.name, Setup: side.setup, NoPeer: side.noPeer}
		if side.need != nil {
			if err := side.need(); err != nil {
				rs.Skipped = err.Error()
			}
		}
		r.Sides = append(r.Sides, rs)
	}
	s.found[b.name] = r
	s.report.Benchmarks = append(s.report.Benchmarks, r)
}

// round gives every side of a group one turn.
func (s *session) round(ctx context.Context, j job, repeat int) {
	for _, i := range j.sides {
		if ctx.Err() != nil {
			return
		}
		side := &j.group.sides[i]
		s.progress("%s, %s, %d of %d", j.names[0], side.name, repeat+1, j.repeats(&s.times))
		runs := j.run(ctx, s, turn{side: side, repeat: repeat, names: j.names})
		s.plan.had(j.takes(&s.times, len(j.names)))
		if ctx.Err() != nil {
			return
		}
		for _, n := range j.names {
			to := s.found[n].Sides[i]
			to.Runs = append(to.Runs, runs[n])
			to.Link, to.Mode = cmp.Or(runs[n].Link, to.Link), cmp.Or(runs[n].Mode, to.Mode)
		}
	}
}

// progress says what is being run: on a terminal in one line that is rewritten, elsewhere in a line each.
func (s *session) progress(format string, args ...any) {
	spent := time.Since(s.started)
	line := fmt.Sprintf("[%d/%d, %v, about %v left] ", s.plan.done+1, s.plan.turns, spent.Round(time.Second),
		s.plan.left(spent).Round(time.Second)) + fmt.Sprintf(format, args...)
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(os.Stderr, line)
}

func (s *session) clearLine() {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

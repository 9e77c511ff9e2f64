package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// plan is what there is to do, and how long it should take.
type plan struct {
	turns, done         int
	estimate, estimated time.Duration // of all turns, and of those that were had
}

func (p *plan) add(turns int, each time.Duration) {
	p.turns += turns
	p.estimate += time.Duration(turns) * each
}

func (p *plan) had(estimate time.Duration) {
	p.done++
	p.estimated += estimate
}

// left is the estimate of the time left, corrected by how long the turns so far took. A tenth of the whole is taken to have gone as
// estimated, so that the first turns do not say much.
func (p *plan) left(spent time.Duration) time.Duration {
	if p.estimate == 0 {
		return 0
	}
	tenth := p.estimate / 10
	return time.Duration(float64(p.estimate-p.estimated) * float64(spent+tenth) / float64(p.estimated+tenth))
}

// showPlan writes what there is to do, and why some of it cannot be done.
func (s *session) showPlan(w io.Writer, groups []*group) {
	for _, j := range s.enlist(groups) {
		n := j.repeats(&s.times)
		each := j.takes(&s.times, len(j.names))
		fmt.Fprintf(w, "%6v  %s: %d × %d sides, %v each\n", (time.Duration(n*len(j.sides)) * each).Round(time.Second),
			strings.Join(j.names, ", "), n, len(j.sides), each.Round(100*time.Millisecond))
	}
	for _, b := range s.report.Benchmarks {
		if b.Skipped != "" {
			fmt.Fprintf(w, "        %s: not to be run: %s\n", b.Name, b.Skipped)
		}
		for _, side := range b.Sides {
			if side.Skipped != "" {
				fmt.Fprintf(w, "        %s, %s: not to be run: %s\n", b.Name, side.Name, side.Skipped)
			}
		}
	}
	fmt.Fprintf(w, "%6v  in all\n", s.plan.estimate.Round(time.Second))
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/pprof/profile"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// profileWindow is how long a profiled turn measures at least: at 100 samples a second, a shorter one says little. Tests shorten it.
var profileWindow = 5 * time.Second

// topFunctions is how many functions of a profile the report names.
const topFunctions = 12

// profiles gives our side one more turn for each benchmark that does not meet its targets, or for every one. It counts for nothing but
// its profile.
func (s *session) profiles(ctx context.Context, jobs []job) {
	if err := os.MkdirAll(s.profile, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "bench: make the directory for profiles:", err)
		return
	}
	measured := s.times
	defer func() { s.times, s.profileTo = measured, "" }()
	t := &s.times
	for _, w := range []*time.Duration{&t.coreWindow, &t.window, &t.rawWindow, &t.pathWindow} {
		*w = max(*w, profileWindow)
	}
	type todo struct {
		job
		side *side
		name string
	}
	var all []todo
	for _, j := range jobs {
		for _, i := range j.sides {
			for _, n := range j.names {
				if j.group.sides[i].name == ourName && (s.profileAll || s.found[n].Missed()) {
					all = append(all, todo{j, &j.group.sides[i], n})
					s.plan.add(1, j.takes(t, 1))
				}
			}
		}
	}
	for _, x := range all {
		if ctx.Err() != nil {
			return
		}
		s.progress("%s, profile", x.name)
		s.profileTo = filepath.Join(s.profile, x.name+".pprof")
		run := x.run(ctx, s, turn{side: x.side, names: []string{x.name}})[x.name]
		s.plan.had(x.takes(t, 1))
		s.attach(s.found[x.name], run)
	}
}

// attach adds the profile of a turn to the report.
func (s *session) attach(b *result.Benchmark, run result.Run) {
	if run.Failed != "" {
		b.Notes = append(b.Notes, "no profile: "+run.Failed)
		return
	}
	p, err := readProfile(s.profileTo)
	if err != nil {
		b.Notes = append(b.Notes, "no profile: "+err.Error())
		return
	}
	b.Profile = p
}

// readProfile sums up a profile of processor time by the functions that were running.
func readProfile(file string) (*result.Profile, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("read the profile %s: %w", file, err)
	}
	r := &result.Profile{File: file}
	own := make(map[string]float64)
	for _, sample := range p.Sample {
		d := float64(sample.Value[len(sample.Value)-1]) / 1e9 // samples, nanoseconds
		r.Seconds += d
		if len(sample.Location) > 0 && len(sample.Location[0].Line) > 0 {
			own[sample.Location[0].Line[0].Function.Name] += d
		}
	}
	r.Rank(own, topFunctions)
	return r, nil
}

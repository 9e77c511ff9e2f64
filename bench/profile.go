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

// profileGroup gives our side one more turn for each of the group's benchmarks, which counts for nothing but its profile.
func (s *session) profileGroup(ctx context.Context, j job) {
	measured := s.times
	defer func() { s.times, s.profileTo = measured, "" }()
	t := &s.times
	for _, w := range []*time.Duration{&t.coreWindow, &t.window, &t.pathWindow} {
		*w = max(*w, profileWindow)
	}
	for _, i := range j.sides {
		side := &j.group.sides[i]
		if side.name != ourName {
			continue
		}
		for _, n := range j.names {
			if ctx.Err() != nil {
				return
			}
			s.progress("%s, profile", n)
			s.profileTo = filepath.Join(s.profile, n+".pprof")
			run := j.run(ctx, s, turn{side: side, names: []string{n}})[n]
			s.plan.done++
			s.plan.estimated += j.takes(&measured, 1) + profileWindow
			b := s.found[n]
			if run.Failed != "" {
				b.Notes = append(b.Notes, "no profile: "+run.Failed)
				continue
			}
			p, err := readProfile(s.profileTo)
			if err != nil {
				b.Notes = append(b.Notes, "no profile: "+err.Error())
				continue
			}
			b.Profile = p
		}
	}
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

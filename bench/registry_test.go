package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// counted is a group whose turns are only noted.
func counted(name string, repeats int, turns *[]string) *group {
	return &group{
		benchmarks: []benchmark{{name: name, unit: "things/s", targets: []result.Target{{Against: "peer", AtLeast: 2}}}},
		sides:      []side{{name: ourName}, {name: "peer"}, {name: "peer, absent", need: func() error { return errors.New("not installed") }}},
		repeats:    func(*times) int { return repeats },
		takes:      func(*times, int) time.Duration { return time.Second },
		run: alone(func(_ context.Context, _ *session, t turn) result.Run {
			*turns = append(*turns, fmt.Sprintf("%s %s %d", name, t.side.name, t.repeat))
			v := 1.0
			if t.side.name == ourName {
				v = 3
			}
			return result.Run{Value: v, Seconds: 1}
		}),
	}
}

func TestSidesAlternateAndRoundsGoOverEverything(t *testing.T) {
	var turns []string
	s := &session{started: time.Now()}
	r := s.all(t.Context(), []*group{counted("a", 3, &turns), counted("b", 2, &turns)})
	want := []string{
		"a xdpstack 0", "a peer 0", "b xdpstack 0", "b peer 0", "a xdpstack 1", "a peer 1", "a xdpstack 2", "a peer 2", "b xdpstack 1", "b peer 1",
	}
	if !slices.Equal(turns, want) {
		t.Errorf("turns %q, want %q", turns, want)
	}
	if s.plan.done != s.plan.turns || s.plan.left(time.Minute) != 0 {
		t.Errorf("plan %+v after the end", s.plan)
	}
	for _, b := range r.Benchmarks {
		if got := b.Targets[0]; got.Verdict != result.Met || got.Decided != "peer" {
			t.Errorf("%s: %+v", b.Name, got)
		}
		if got := b.Sides[2].Skipped; got != "not installed" {
			t.Errorf("%s: a side that cannot be run says %q", b.Name, got)
		}
	}
}

func TestWhatCannotBeRunSaysSo(t *testing.T) {
	var turns []string
	g := counted("a", 1, &turns)
	g.need = func() error { return errors.New("needs root") }
	r := (&session{started: time.Now()}).all(t.Context(), []*group{g, counted("b", 1, &turns)})
	if got := r.Benchmarks[0]; got.Skipped != "needs root" || got.Targets[0].Verdict != result.Unknown {
		t.Errorf("%+v", got)
	}
	if len(turns) != 2 {
		t.Errorf("turns %q: the rest must go on", turns)
	}
}

func TestStoppedRunKeepsWhatThereIs(t *testing.T) {
	var turns []string
	ctx, cancel := context.WithCancel(t.Context())
	b := counted("b", 3, &turns)
	run := b.run
	b.run = func(ctx context.Context, s *session, t turn) map[string]result.Run {
		cancel()
		return run(ctx, s, t)
	}
	r := (&session{started: time.Now()}).all(ctx, []*group{counted("a", 3, &turns), b})
	if n := len(r.Benchmarks[0].Sides[0].Runs); n != 1 {
		t.Errorf("%d runs of the first", n)
	}
	if n := len(r.Benchmarks[1].Sides[0].Runs); n != 0 {
		t.Errorf("%d runs of what was interrupted", n)
	}
}

func TestNamesAreUnique(t *testing.T) {
	all := names(groups())
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("names %q", all)
	}
}

func TestEverythingTakesLessThanPromised(t *testing.T) {
	for _, tt := range []struct {
		what  string
		times times
		most  time.Duration
	}{{"make bench", thorough, 20 * time.Minute}, {"make bench-quick", brief, 3 * time.Minute}} {
		s := &session{options: options{times: tt.times}}
		for _, g := range groups() { // as if everything could be run
			if n := len(s.wantedOf(g)); n > 0 {
				s.plan.add(len(g.sides)*g.repeats(&s.times), g.takes(&s.times, n))
			}
		}
		t.Logf("%s: about %v", tt.what, s.plan.estimate)
		if s.plan.estimate > tt.most {
			t.Errorf("%s: about %v, which is more than %v: take it from the repeats or the windows", tt.what, s.plan.estimate, tt.most)
		}
	}
}

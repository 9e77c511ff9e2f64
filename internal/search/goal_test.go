package search

import (
	"math"
	"testing"
	"time"
)

// TestExampleOfTheRFC is RFC 9971 appendix C: four goals, and the trials of one load at six points in time. At the last two points its
// tables have the last goal's load as a lower bound, although their own ratios, 42.857 % and 27.273 %, exceed the goal's 20 %: here the
// pseudocode of appendix A is what counts, by which it is an upper bound.
func TestExampleOfTheRFC(t *testing.T) {
	const minute = time.Minute
	goals := []Goal{
		{Name: "RFC2544", Final: minute, Sum: minute},
		{Name: "TST009", Final: minute, Sum: 2 * minute, Exceed: 0.5},
		{Name: "1s final", Final: time.Second, Sum: 2 * minute, Loss: 0.005, Exceed: 0.5},
		{Name: "20% exceed", Final: minute, Sum: minute, Loss: 0.005, Exceed: 0.2},
	}
	points := []struct {
		add      int
		duration time.Duration
		loss     float64
		want     [4]class
	}{
		{59, time.Second, 0, [4]class{undecided, undecided, undecided, undecided}},
		{1, time.Second, 0.01, [4]class{upper, undecided, undecided, undecided}},
		{59, time.Second, 0.01, [4]class{upper, undecided, undecided, upper}},
		{1, time.Second, 0, [4]class{upper, undecided, lower, upper}},
		{1, minute, 0.001, [4]class{upper, undecided, lower, upper}},
		{1, minute, 0, [4]class{upper, lower, lower, upper}},
	}
	var trials []Result
	for n, p := range points {
		for range p.add {
			trials = append(trials, Result{Trial: Trial{Load: 1e6, Duration: p.duration}, Outcome: Outcome{Loss: p.loss}})
		}
		for i, g := range goals {
			if is := g.classify(trials); is != p.want[i] {
				t.Errorf("point %d: goal %s: class %d, want %d", n+1, g.Name, is, p.want[i])
			}
		}
	}
	for i, want := range map[int]float64{1: 1e6, 2: 1e6, 3: 999_000} {
		if got := goals[i].throughput(1e6, trials); math.Abs(got-want) > 1e-3 {
			t.Errorf("goal %s: throughput %v, want %v", goals[i].Name, got, want)
		}
	}
}

func TestNoTrialsSayNothing(t *testing.T) {
	for _, g := range []Goal{NDR(time.Second), PDR(0.005, time.Second), RFC2544(time.Minute)} {
		g.defaults()
		if is := g.classify(nil); is != undecided {
			t.Errorf("%s: class %d", g.Name, is)
		}
		if n := g.throughput(1e6, nil); n != 0 {
			t.Errorf("%s: throughput %v", g.Name, n)
		}
	}
}

// TestSumDecides: full-length trials as long as Sum decide, whatever came of them, so no load is tried for ever.
func TestSumDecides(t *testing.T) {
	for votes := 1; votes < 8; votes++ {
		for mask := range 1 << votes {
			for _, exceed := range []float64{0, 0.2, exceedOf(votes), 0.5, 0.9} {
				g := Goal{Final: time.Second / 3, Sum: time.Duration(votes) * (time.Second / 3), Exceed: exceed}
				trials := make([]Result, votes)
				for i := range trials {
					trials[i] = Result{Trial: Trial{Duration: g.Final}, Outcome: Outcome{Loss: float64(mask >> i & 1)}}
				}
				if g.classify(trials) == undecided {
					t.Errorf("%d trials, outcomes %b, exceed ratio %v: undecided", votes, mask, exceed)
				}
			}
		}
	}
}

func TestApproachIsFromShortToLongAndWideToNarrow(t *testing.T) {
	for _, g := range []Goal{
		NDR(time.Second), PDR(0.3, 2*time.Second), RFC2544(time.Minute), {Final: time.Second}, {Final: time.Hour, Initial: time.Millisecond},
	} {
		g.defaults()
		steps := g.approach()
		if n := len(steps); n < 2 || n > maxSteps || steps[n-1] != g || steps[0].Final != g.Initial {
			t.Errorf("%+v: %d steps from %v", g, n, steps[0].Final)
		}
		for i := 1; i < len(steps); i++ {
			a, b := &steps[i-1], &steps[i]
			if a.Final > b.Final || a.Width < b.Width || a.Sum != a.Final || a.check() != nil {
				t.Errorf("%+v: step %d: %v and %v, before it %v and %v: %v", g, i, b.Final, b.Width, a.Final, a.Width, a.check())
			}
		}
	}
}

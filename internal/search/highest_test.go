package search

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// judge makes a judge of what holds at a load.
func judge(holds func(load float64) bool) Judge {
	return func(t Trial) (bool, time.Duration, error) { return holds(t.Load), 0, nil }
}

func highest() Highest {
	return Highest{Range: Range{Min: 10, Max: 1e6}, Start: 100, Duration: time.Second}
}

func TestHighestFindsTheLimit(t *testing.T) {
	seeds(t, func(t *testing.T, rnd *rand.Rand) {
		capacity := anywhere(Range{Min: 11, Max: 9e5}, rnd)
		f, trials, err := highest().Search(judge(func(load float64) bool { return load <= capacity }))
		if err != nil {
			t.Fatal(err)
		}
		between(t, "limit", f, capacity, 0.05, 0)
		if len(f.Inverted) > 0 || len(trials) > 40 {
			t.Errorf("%d trials, inverted %v", len(trials), f.Inverted)
		}
	})
}

// TestHighestConfirms: near the limit chance decides, and one trial in ten is unlucky anywhere below it.
func TestHighestConfirms(t *testing.T) {
	wrong := 0
	seeds(t, func(t *testing.T, rnd *rand.Rand) {
		capacity := anywhere(Range{Min: 1000, Max: 5e5}, rnd)
		h := highest()
		h.Votes = 7
		f, trials, err := h.Search(judge(func(load float64) bool {
			return load < capacity*(0.95+0.1*rnd.Float64()) && rnd.Float64() > 0.1
		}))
		if err != nil {
			t.Fatal(err)
		}
		if f.Lower < capacity*0.88 || f.Lower > capacity*1.05 || f.End != Narrow {
			wrong++
			t.Logf("found %v to %v (%v), the truth is %v; inverted %v", f.Lower, f.Upper, f.End, capacity, f.Inverted)
		}
		if len(trials) > 120 {
			t.Errorf("%d trials", len(trials))
		}
	})
	if wrong > 5 {
		t.Errorf("%d of the searches went wrong", wrong)
	}
}

func TestHighestClimbsOverTrouble(t *testing.T) {
	for _, c := range []struct {
		name     string
		trouble  func(load float64) bool
		inverted []float64
	}{
		{"the first load", func(load float64) bool { return load == 100 }, []float64{100}},
		{"one in the middle", func(load float64) bool { return load == 800 }, []float64{800}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _, err := highest().Search(judge(func(load float64) bool { return load <= 30_000 && !c.trouble(load) }))
			if err != nil {
				t.Fatal(err)
			}
			between(t, "limit", f, 30_000, 0.05, 0)
			if !slices.Equal(f.Inverted, c.inverted) {
				t.Errorf("inverted %v, want %v", f.Inverted, c.inverted)
			}
		})
	}
}

func TestHighestForgetsBadLuck(t *testing.T) {
	unlucky := true
	f, _, err := highest().Search(judge(func(load float64) bool {
		if load == 800 && unlucky {
			unlucky = false
			return false
		}
		return load <= 30_000
	}))
	if err != nil {
		t.Fatal(err)
	}
	between(t, "limit", f, 30_000, 0.05, 0)
	if len(f.Inverted) > 0 {
		t.Errorf("inverted %v: only one trial there failed", f.Inverted)
	}
}

func TestHighestEnds(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name   string
		holds  func(float64) bool
		limits Limits
		end    End
		lower  float64
	}{
		{"everything holds", func(float64) bool { return true }, Limits{}, AboveMax, 1e6},
		{"nothing holds", func(float64) bool { return false }, Limits{}, BelowMin, 0},
		{"only below the first load", func(load float64) bool { return load <= 10 }, Limits{}, Narrow, 10},
		{"out of time", func(load float64) bool { return load < 1000 }, Limits{Time: 4 * time.Second}, OutOfTime, 800},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := highest()
			h.Limits = c.limits
			f, trials, err := h.Search(judge(c.holds))
			if err != nil || f.End != c.end || f.Lower != c.lower || len(trials) > 45 {
				t.Errorf("%v: %v to %v after %d trials, error %v; want %v: %v", f.End, f.Lower, f.Upper, len(trials), err, c.end, c.lower)
			}
		})
	}
	f, trials, err := highest().Search(func(tr Trial) (bool, time.Duration, error) {
		if tr.Load > 300 {
			return false, 0, broken
		}
		return true, 0, nil
	})
	if !errors.Is(err, broken) || f.End != Stopped || f.Lower != 200 || len(trials) != 2 {
		t.Errorf("%+v after %d trials, error %v", f, len(trials), err)
	}
}

func TestHighestFallsBackWhenTheLadderWasLucky(t *testing.T) {
	first := map[float64]bool{}
	f, _, err := highest().Search(judge(func(load float64) bool {
		lucky := load < 10_000 && !first[load]
		first[load] = true
		return lucky || load <= 500
	}))
	if err != nil {
		t.Fatal(err)
	}
	if f.Lower > 600 || f.Lower < 400 {
		t.Errorf("found %v to %v: %v; only the first trial of a load above 500 holds", f.Lower, f.Upper, f.End)
	}
}

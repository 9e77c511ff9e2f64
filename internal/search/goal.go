package search

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Goal is what MLR searches for: a search goal of RFC 9971. Zero fields mean the defaults.
type Goal struct {
	Name   string
	Loss   float64 // share that may be lost in a trial; more makes it a bad trial
	Exceed float64 // share of the time of a load's trials that may be bad: 0 is one bad trial and out, 0.5 a vote
	// Final is how long the trials are that decide, needed. RFC 2544 wants 60 s.
	Final time.Duration
	// Initial is how long the first trials are, which find the neighbourhood; default Final.
	Initial time.Duration
	// Sum is how much time the trials of a load have together, at least Final; fewer trials do if the rest could not change the vote.
	// Default Final, which is one trial.
	Sum time.Duration
	// Width is how close the bounds are in the end, relative to the upper one; default 0.005. Not less than Loss is sensible, or what
	// gets through at the lower bound of a goal that allows loss may be less than that of one that does not.
	Width float64
}

// NDR returns the goal that no packet is lost, the non-drop rate: three trials vote.
func NDR(trial time.Duration) Goal {
	return Goal{Name: "NDR", Exceed: 0.5, Final: trial, Initial: trial / 10, Sum: 3 * trial}
}

// PDR returns the goal that at most a share is lost, the partial drop rate: three trials vote.
func PDR(loss float64, trial time.Duration) Goal {
	return Goal{Name: "PDR", Loss: loss, Exceed: 0.5, Final: trial, Initial: trial / 10, Sum: 3 * trial, Width: max(loss, defaultWidth)}
}

// RFC2544 returns the goal that RFC 2544 section 24 has, with a trial of 60 s: no loss in one trial.
func RFC2544(trial time.Duration) Goal {
	return Goal{Name: "throughput", Final: trial, Initial: trial / 10}
}

// defaults fills in the defaults.
func (g *Goal) defaults() {
	if g.Initial == 0 {
		g.Initial = g.Final
	}
	if g.Sum == 0 {
		g.Sum = g.Final
	}
	if g.Width == 0 {
		g.Width = defaultWidth
	}
}

func (g *Goal) check() error {
	if err := checkGoal(g.Name, g.Loss, g.Exceed, g.Final); err != nil {
		return err
	}
	if g.Initial <= 0 || g.Initial > g.Final || g.Sum < g.Final {
		return fmt.Errorf("search: goal %s: trials of %v at first and %v in the end, %v together: want them in this order", g.Name,
			g.Initial, g.Final, g.Sum)
	}
	return checkWidth(g.Width)
}

func checkGoal(name string, loss, exceed float64, trial time.Duration) error {
	switch {
	case !(loss >= 0 && loss < 1):
		return fmt.Errorf("search: %s: loss ratio %v: want 0 to 1", name, loss)
	case !(exceed >= 0 && exceed < 1):
		return fmt.Errorf("search: %s: exceed ratio %v: want 0 to 1", name, exceed)
	case trial <= 0:
		return fmt.Errorf("search: %s: trials of %v: want a duration", name, trial)
	}
	return nil
}

// class is what the trials of a load say about a goal.
type class int8

const (
	undecided class = iota
	lower           // borne, whatever the rest of the trials would say
	upper           // not borne, whatever they would say
)

// classify is the load classification of RFC 9971 appendix A, with its names. Time is that of full-length trials, but short trials
// count against a load as far as more of them are bad than the exceed ratio lets pass: what is lost in a short trial is lost in a longer
// one too.
func (g *Goal) classify(trials []Result) class {
	var fullLow, fullHigh, shortLow, shortHigh float64
	for _, t := range trials {
		s := t.Duration.Seconds()
		switch full, low := t.Duration >= g.Final, t.Loss <= g.Loss; {
		case full && low:
			fullLow += s
		case full:
			fullHigh += s
		case low:
			shortLow += s
		default:
			shortHigh += s
		}
	}
	balancing := shortLow * g.Exceed / (1 - g.Exceed)
	high := fullHigh + max(0, shortHigh-balancing)
	whole := max(fullLow+high, g.Sum.Seconds())
	const tiny = 1e-9 // seconds: sums of durations are not exact
	quantile := whole*g.Exceed + tiny
	optimistic, pessimistic := high <= quantile, whole-fullLow <= quantile
	switch {
	case optimistic && pessimistic:
		return lower
	case !optimistic && !pessimistic:
		return upper
	}
	return undecided
}

// throughput is the conditional throughput of RFC 9971 appendix B: what got through in the worst of the full-length trials at a load
// that are needed for it to be borne.
func (g *Goal) throughput(load float64, trials []Result) float64 {
	var full []Result
	var sum float64
	for _, t := range trials {
		if t.Duration >= g.Final {
			full = append(full, t)
			sum += t.Duration.Seconds()
		}
	}
	slices.SortStableFunc(full, func(a, b Result) int { return cmp.Compare(a.Loss, b.Loss) })
	remaining := max(sum, g.Sum.Seconds()) * (1 - g.Exceed)
	loss := 1.0
	for i, t := range full {
		if i > 0 && remaining <= 1e-9 {
			break
		}
		loss = t.Loss
		remaining -= t.Duration.Seconds()
	}
	if remaining > 1e-9 {
		loss = 1
	}
	return load * (1 - loss)
}

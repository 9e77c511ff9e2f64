package search

import (
	"fmt"
	"slices"
	"time"
)

// Highest searches for the highest load at which something holds that is not a loss: a latency under a bound, few errors. It climbs a
// ladder first, each load twice the one before, one trial each, until two in a row fail. So a low load that fails, because of a cold
// cache or a sleeping processor, or by bad luck, does not end the search below what is possible. Then it searches between the highest
// load that held and the next one above. There several trials of a load vote.
//
// What fails below the result, or holds above it, is in [Found.Inverted]: the answer then depends on more than the load, and is to be
// taken with care.
//
// Zero fields mean the defaults.
type Highest struct {
	Range
	Start    float64       // the first load; default Min
	Width    float64       // the search ends when the bounds are so close, relative to the upper one; default 0.05
	Duration time.Duration // of each trial, needed
	Ladder   time.Duration // of each trial of the ladder, at most Duration; default Duration
	Votes    int           // trials of a load, of which most must hold; default 3
	Limits   Limits
	Progress func(Event)
}

// Judge does a trial and says whether what is asked for holds. Took is the time with the waiting around the trial; 0: its duration.
type Judge func(Trial) (holds bool, took time.Duration, err error)

// Search does it. It returns what it found, all trials (whose loss is 1 where it did not hold), and the error of judge if that ended
// it.
func (h Highest) Search(judge Judge) (Found, []Result, error) {
	h.defaults()
	goal := Goal{Name: "highest", Exceed: exceedOf(h.Votes), Final: h.Duration, Initial: h.Ladder,
		Sum: time.Duration(h.Votes) * h.Duration, Width: h.Width}
	if err := h.check(&goal); err != nil {
		return Found{End: Stopped}, nil, err
	}
	c := &controller{Range: h.Range, aims: []aim{{goal: goal, steps: []Goal{goal}}}}
	c.limits, c.progress = h.Limits, h.Progress
	c.measure = func(t Trial) (o Outcome, err error) {
		holds, took, err := judge(t)
		if o.Took = took; !holds {
			o.Loss = 1
		}
		return o, err
	}
	err := h.climb(c)
	if err == nil {
		err = c.run()
	}
	if err == nil {
		err = c.verify()
	}
	end, err := ending(err)
	return c.found(end)[0], c.results, err
}

func (h *Highest) defaults() {
	if h.Start == 0 {
		h.Start = h.Min
	}
	if h.Width == 0 {
		h.Width = 0.05
	}
	if h.Ladder == 0 {
		h.Ladder = h.Duration
	}
	if h.Votes == 0 {
		h.Votes = 3
	}
}

func (h *Highest) check(g *Goal) error {
	if err := h.Range.check(); err != nil {
		return err
	}
	if !(h.Start >= h.Min && h.Start <= h.Max) {
		return fmt.Errorf("search: first load %v: want %v to %v", h.Start, h.Min, h.Max)
	}
	if h.Votes < 1 {
		return fmt.Errorf("search: %d trials of a load: want 1 or more", h.Votes)
	}
	return g.check()
}

// exceedOf returns the exceed ratio with which most of n trials decide: what fails must be less than half.
func exceedOf(n int) float64 { return float64((n-1)/2) / float64(n) }

// climb does the ladder, and leaves the best load and the next one above it as the bounds to begin from.
func (h *Highest) climb(c *controller) error {
	a := &c.aims[0]
	rung := func(load float64) (bool, error) {
		r, err := c.trial(Trial{Load: load, Duration: h.Ladder}, Event{Goal: a.goal.Name, Lower: a.lower, Upper: a.upper,
			Remaining: c.remaining(a, &a.goal, a.lower, a.upper)})
		if err != nil {
			return false, err
		}
		c.book.add(r)
		return r.Loss == 0, nil
	}
	load := h.Start
	for failed := 0; failed < 2; load = min(2*load, h.Max) {
		ok, err := rung(load)
		switch {
		case err != nil:
			return err
		case ok:
			failed, a.lower, a.upper, a.floor = 0, load, 0, load
		default:
			if failed++; a.upper == 0 {
				a.upper = load
			}
		}
		if load == h.Max {
			break
		}
	}
	for load = h.Start; a.lower == 0 && load > h.Min; {
		load = max(load/2, h.Min)
		ok, err := rung(load)
		if err != nil {
			return err
		}
		if ok {
			a.lower, a.floor = load, load
		} else {
			a.upper = load
		}
	}
	return nil
}

// verify does the missing trials of loads below the result that failed once, so that they are known to be inverted or not.
func (c *controller) verify() error {
	a := &c.aims[0]
	for _, e := range slices.Clone(c.book.entries) {
		bad := slices.ContainsFunc(e.trials, func(r Result) bool { return r.Loss > 0 })
		if e.load >= a.lower || !bad {
			continue
		}
		if _, _, err := c.decide(a, &a.goal, e.load, a.lower, a.upper); err != nil {
			return err
		}
	}
	return nil
}

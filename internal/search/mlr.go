package search

import (
	"errors"
	"fmt"
	"math"
)

// MLR is Multiple Loss Ratio search: RFC 9971's controller. Each goal is approached in steps: the first has trials of the initial
// length and a coarse width, each next one twice the length and half the width, the last is the goal itself with its several trials of
// a load. A step begins at the bounds of the one before and looks at the lower one first. From a bound that did not hold it goes away in
// growing strides, and it halves once it has crossed the limit. The goals take turns, and every trial counts for all of them.
type MLR struct {
	Range
	Goals    []Goal // in the order in which they are looked at: the strictest first
	Limits   Limits
	Progress func(Event)
}

// Search does it. It returns what it found for each goal, all trials, and the error of measure if that ended it.
func (m MLR) Search(measure Measure) ([]Found, []Result, error) {
	if err := m.check(); err != nil {
		return nil, nil, err
	}
	c := &controller{Range: m.Range}
	c.measure, c.limits, c.progress = measure, m.Limits, m.Progress
	for _, g := range m.Goals {
		g.defaults()
		if err := g.check(); err != nil {
			return nil, nil, err
		}
		c.aims = append(c.aims, aim{goal: g, steps: g.approach()})
	}
	end, err := ending(c.run())
	return c.found(end), c.results, err
}

func (m *MLR) check() error {
	if len(m.Goals) == 0 {
		return errors.New("search: no goal")
	}
	names := map[string]bool{}
	for _, g := range m.Goals {
		if names[g.Name] {
			return fmt.Errorf("search: two goals named %q", g.Name)
		}
		names[g.Name] = true
	}
	return m.Range.check()
}

// coarsest is the width of the first step, at most, and steps is how many there are, at most.
const (
	coarsest = 0.25
	maxSteps = 5
)

// approach returns the steps to a goal, the goal itself as the last one. In all others one trial decides about a load.
func (g *Goal) approach() []Goal {
	n := 2
	if g.Final > g.Initial {
		n = min(max(n, 2+int(math.Ceil(math.Log2(float64(g.Final)/float64(g.Initial))))), maxSteps)
	}
	growth := math.Pow(float64(g.Final)/float64(g.Initial), 1/float64(max(n-2, 1)))
	steps := make([]Goal, n)
	length, width := float64(g.Final), g.Width
	for i := n - 2; i >= 0; i-- {
		width = max(min(2*width, coarsest), width)
		steps[i] = *g
		steps[i].Final, steps[i].Width = max(g.Initial, min(g.Final, roundDuration(length))), width
		steps[i].Sum = steps[i].Final
		length /= growth
	}
	steps[n-1] = *g
	return steps
}

// aim is a goal and how far the search is with it.
type aim struct {
	goal         Goal
	steps        []Goal
	at           int     // the step that is being done; len(steps) when all are
	lower, upper float64 // bounds of the last step that was done; 0: none
	// floor, if not 0, is a load that was borne, so that those below it which were not do not count: see Highest.
	floor float64
}

// controller is a search under way.
type controller struct {
	session
	Range
	book book
	aims []aim
}

// run does all steps of all goals: those with fewer steps join later, so that all end together. A trial for one goal may change what
// another one had, so the last step is repeated until no goal wants a trial.
func (c *controller) run() error {
	most := 0
	for i := range c.aims {
		most = max(most, len(c.aims[i].steps))
	}
	for level := range most {
		for i := range c.aims {
			a := &c.aims[i]
			if a.at = level - most + len(a.steps); a.at < 0 {
				a.at = 0
				continue
			}
			if err := c.pursue(a, &a.steps[a.at]); err != nil {
				return err
			}
			a.at++
		}
	}
	for done := -1; done != len(c.results); {
		done = len(c.results)
		for i := range c.aims {
			if err := c.pursue(&c.aims[i], &c.aims[i].goal); err != nil {
				return err
			}
		}
	}
	return nil
}

// pursue does trials until the bounds of a step are as close as it wants, or there is none on one side.
func (c *controller) pursue(a *aim, g *Goal) error {
	w := walker{Range: c.Range, factor: 1 / (1 - g.Width), hints: []float64{a.lower, a.upper}}
	if a.lower == 0 && a.upper == 0 {
		w.hints = []float64{c.Max}
	}
	first := a.lower == 0
	for {
		lo, hi := c.bounds(a, g)
		if hi != 0 && lo != 0 && hi-lo <= hi*g.Width*(1+1e-9) || hi == 0 && lo == c.Max || hi == c.Min {
			a.lower, a.upper = lo, hi
			return nil
		}
		load := a.floor
		if load == 0 || g.classify(c.book.trials(load)) != undecided {
			load = w.next(lo, hi)
		}
		is, loss, err := c.decide(a, g, load, lo, hi)
		if err != nil {
			return err
		}
		w.saw(is)
		if first && is == upper && load == c.Max {
			w.hints = append(w.hints, load*(1-loss)) // what got through is near what can
		}
		first = false
	}
}

// decide does trials of a load until they say whether it is borne. It returns the loss of the last one, too.
func (c *controller) decide(a *aim, g *Goal, load, lo, hi float64) (is class, loss float64, err error) {
	for {
		trials := c.book.trials(load)
		if is = g.classify(trials); is != undecided {
			return is, loss, nil
		}
		r, err := c.trial(Trial{Load: load, Duration: g.Final},
			Event{Goal: a.goal.Name, Lower: lo, Upper: hi, Remaining: c.remaining(a, g, lo, hi)})
		if err != nil {
			return is, loss, err
		}
		loss = r.Loss
		c.book.add(r)
	}
}

// bounds returns the relevant bounds of a goal, 0 for none: the smallest load that is not borne, and the largest below it that is.
func (c *controller) bounds(a *aim, g *Goal) (lo, hi float64) {
	for a.floor > 0 && g.classify(c.book.trials(a.floor)) == upper {
		a.floor = c.book.goodBelow(a.floor, g) // it did not hold after all
	}
	for _, e := range c.book.entries {
		switch g.classify(e.trials) {
		case upper:
			if e.load > a.floor {
				return lo, e.load
			}
		case lower:
			lo = e.load
		}
	}
	return lo, 0
}

// found returns the results, in the order of the goals.
func (c *controller) found(end End) []Found {
	all := make([]Found, len(c.aims))
	for i := range c.aims {
		a := &c.aims[i]
		f := &all[i]
		f.Lower, f.Upper = c.bounds(a, &a.goal)
		f.End = end
		switch narrow := f.Width() <= a.goal.Width*(1+1e-9); {
		case narrow:
			f.End = Narrow // for this goal, whatever happened to others
		case f.Upper == 0 && f.Lower == c.Max:
			f.End = AboveMax
		case f.Upper == c.Min:
			f.End = BelowMin
		case f.Lower == 0 && a.lower != 0:
			f.Lower, f.Upper, f.Short = a.lower, a.upper, true
		}
		if f.Lower > 0 && !f.Short {
			f.Throughput = a.goal.throughput(f.Lower, c.book.trials(f.Lower))
		}
		for _, e := range c.book.entries {
			is := a.goal.classify(e.trials)
			if is == lower && f.Upper > 0 && e.load > f.Upper || is == upper && e.load < f.Lower {
				f.Inverted = append(f.Inverted, e.load)
			}
		}
	}
	return all
}

package search

import "time"

// Binary is the search that RFC 2544 section 24 is usually done with: the highest load first, then always the middle of the interval.
// All trials have the same length. Zero fields mean the defaults.
type Binary struct {
	Range
	Loss     float64       // share that may be lost; default 0: RFC 2544's throughput
	Width    float64       // the search ends when the bounds are so close, relative to the upper one; default 0.005
	Duration time.Duration // of each trial, needed
	// Attempts is how many trials of a load must lose too much before it counts as not borne, so that one unlucky trial does not
	// decide: the loss verification of ETSI GS NFV-TST 009 section 12.3.3. Default 1: the first one decides, as in RFC 2544.
	Attempts int
	Limits   Limits
	Progress func(Event)
}

// Search does it. It returns what it found, all trials, and the error of measure if that ended it.
func (b Binary) Search(measure Measure) (Found, []Result, error) {
	if b.Width == 0 {
		b.Width = defaultWidth
	}
	if err := b.check(); err != nil {
		return Found{End: Stopped}, nil, err
	}
	s := &session{measure: measure, limits: b.Limits, progress: b.Progress}
	var f Found
	load := b.Max
	for {
		best, err := b.try(s, load, &f)
		if err != nil {
			f.End, err = ending(err)
			return f, s.results, err
		}
		if best <= b.Loss {
			f.Lower, f.Throughput = load, load*(1-best)
		} else {
			f.Upper = load
		}
		switch {
		case f.Upper == 0:
			f.End = AboveMax
			return f, s.results, nil
		case f.Lower > 0 && f.Width() <= b.Width:
			return f, s.results, nil
		case load == b.Min && f.Lower == 0:
			f.End = BelowMin
			return f, s.results, nil
		}
		load = b.middle(&f)
	}
}

func (b *Binary) check() error {
	if err := b.Range.check(); err != nil {
		return err
	}
	if err := checkWidth(b.Width); err != nil {
		return err
	}
	return checkGoal("binary search", b.Loss, 0, b.Duration)
}

// middle returns the next load: the lowest one if the middle is no higher than a width above it.
func (b *Binary) middle(f *Found) float64 {
	if f.Lower > 0 {
		return (f.Lower + f.Upper) / 2
	}
	if m := (b.Min + f.Upper) / 2; (m-b.Min)/m > b.Width {
		return m
	}
	return b.Min
}

// try returns the least loss of a load's trials: it stops at the first that is good enough.
func (b *Binary) try(s *session, load float64, f *Found) (best float64, err error) {
	best = 1
	for i := 0; i < max(b.Attempts, 1) && (i == 0 || best > b.Loss); i++ {
		e := Event{Lower: f.Lower, Upper: f.Upper, Remaining: b.remaining(s, f)}
		r, err := s.trial(Trial{Load: load, Duration: b.Duration}, e)
		if err != nil {
			return best, err
		}
		best = min(best, r.Loss)
	}
	return best, nil
}

// remaining estimates what the search takes from here.
func (b *Binary) remaining(s *session, f *Found) time.Duration {
	lower, upper := f.Lower, f.Upper
	if lower == 0 {
		lower = b.Min
	}
	if upper == 0 {
		upper = b.Max
	}
	n := max(halvings(lower, upper, b.Width), 1)
	if f.Lower == 0 { // the interval is halved by its absolute width: the first halvings tell little about a low result
		n = max(halvings(upper/2, upper, b.Width)+1, 1)
	}
	return time.Duration(n) * (b.Duration + s.wait())
}

package search

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Trial is one measurement that a search asks for.
type Trial struct {
	Load     float64       // packets, frames or requests per second
	Duration time.Duration // for how long the load is offered
}

// Outcome is what came of a trial.
type Outcome struct {
	Loss float64       // share of the load that was not borne, 0 to 1
	Took time.Duration // with the waiting around the trial; 0: its duration
}

// Result is a trial with its outcome.
type Result struct {
	Trial
	Outcome
}

// Measure does a trial. An error ends the search, which returns it with what is known by then.
type Measure func(Trial) (Outcome, error)

// Range bounds the loads that a search tries. Both are needed: 0 < Min <= Max.
type Range struct {
	Min float64 // the search gives up if not even this load is borne
	Max float64 // what the link, or the sender, can do at most
}

func (r Range) check() error {
	if !(r.Min > 0) || !(r.Max >= r.Min) || math.IsInf(r.Max, 1) {
		return fmt.Errorf("search: loads from %v to %v: want 0 < min <= max", r.Min, r.Max)
	}
	return nil
}

// Limits bound a search. Zero fields mean the defaults.
type Limits struct {
	Trials int           // default 1000
	Time   time.Duration // of all trials, with their waiting; default no limit
}

// End says how a search ended.
type End uint8

const (
	Narrow   End = iota // the bounds are as close as asked for: a regular result
	AboveMax            // the highest load was borne; what would not be is unknown
	BelowMin            // not even the lowest load was borne
	OutOfTrials
	OutOfTime
	Stopped // Measure returned an error
)

var endings = [...]string{"found", "the highest load is borne", "not even the lowest load is borne", "too many trials", "out of time",
	"stopped"}

// String says it in words.
func (e End) String() string { return endings[e] }

// Found is the result of a search, or of one goal of it.
type Found struct {
	Lower float64 // the highest load below Upper that was borne; 0: none
	Upper float64 // the lowest load that was not borne; 0: none
	// Throughput is what got through at Lower: RFC 9971's conditional throughput, which is less than the load if a goal allows loss.
	Throughput float64
	End        End
	Short      bool // the bounds come from shorter or fewer trials than asked for, because the search was cut short
	// Inverted are loads on the wrong side: above Upper and borne all the same, or, with Highest, below Lower and not borne.
	Inverted []float64
}

// Width returns how far the bounds are apart, relative to the upper one; 1 if one is missing.
func (f *Found) Width() float64 {
	if f.Lower == 0 || f.Upper == 0 {
		return 1
	}
	return (f.Upper - f.Lower) / f.Upper
}

// Event tells of the progress of a search, before and after each trial.
type Event struct {
	Goal         string // what the trial is for
	Trial        Trial
	Outcome      *Outcome // nil before the trial
	Trials       int      // done so far
	Lower, Upper float64  // bounds so far, 0: none
	Spent        time.Duration
	Remaining    time.Duration // an estimate from the trials that it usually takes
}

// defaultWidth is how close the bounds of a search get, relative to the upper one.
const defaultWidth = 0.005

// minWidth keeps bisection above the precision of loads.
const minWidth = 1e-6

func checkWidth(w float64) error {
	if !(w >= minWidth && w < 1) {
		return fmt.Errorf("search: width %v: want %v to 1, relative to the load", w, minWidth)
	}
	return nil
}

var (
	errTrials = errors.New("search: too many trials")
	errTime   = errors.New("search: out of time")
)

// ending returns how an error ends a search, and what of the error the caller is to see.
func ending(err error) (End, error) {
	switch {
	case err == nil:
		return Narrow, nil
	case errors.Is(err, errTrials):
		return OutOfTrials, nil
	case errors.Is(err, errTime):
		return OutOfTime, nil
	}
	return Stopped, err
}

// session does the trials of a search within its limits.
type session struct {
	measure  Measure
	limits   Limits
	progress func(Event)
	spent    time.Duration
	waiting  time.Duration // the part of spent that was not a trial's duration
	results  []Result
}

// trial does one. The event says what it is for.
func (s *session) trial(t Trial, e Event) (Result, error) {
	r := Result{Trial: t}
	limit := s.limits.Trials
	if limit == 0 {
		limit = 1000
	}
	if len(s.results) >= limit {
		return r, errTrials
	}
	if s.limits.Time > 0 && s.spent+t.Duration+s.wait() > s.limits.Time {
		return r, errTime
	}
	e.Trial = t
	s.tell(e)
	var err error
	if r.Outcome, err = s.measure(t); err != nil {
		return r, err
	}
	r.Loss = min(max(r.Loss, 0), 1)
	r.Took = max(r.Took, t.Duration)
	s.spent += r.Took
	s.waiting += r.Took - t.Duration
	s.results = append(s.results, r)
	e.Outcome = &r.Outcome
	e.Remaining -= r.Took
	s.tell(e)
	return r, nil
}

func (s *session) tell(e Event) {
	if s.progress == nil {
		return
	}
	e.Trials, e.Spent, e.Remaining = len(s.results), s.spent, max(e.Remaining, 0)
	if s.limits.Time > 0 {
		e.Remaining = min(e.Remaining, max(s.limits.Time-s.spent, 0))
	}
	s.progress(e)
}

// wait returns how long the waiting around a trial has been, on average.
func (s *session) wait() time.Duration {
	if len(s.results) == 0 {
		return 0
	}
	return s.waiting / time.Duration(len(s.results))
}

// halvings returns how many bisections bring bounds as close as width, relative to the upper one.
func halvings(lower, upper, width float64) int {
	n := math.Ceil(math.Log2(math.Log(upper/lower) / -math.Log1p(-width)))
	return int(max(n, 0))
}

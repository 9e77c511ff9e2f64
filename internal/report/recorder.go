package report

import (
	"maps"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Totals is what a generator has counted from its start until now. Nobody changes the maps and histograms any more.
type Totals struct {
	Counters   map[string]uint64
	Errors     map[string]uint64
	TCP        map[string]uint64
	Histograms map[string]*hdrhistogram.Histogram
	CPU        CPU
	Warmup     bool // what was counted so far is not to be measured
}

// maxSeries bounds the series of a result: a day.
const maxSeries = 86_400

// Recorder makes a Result of totals that it is told about once a second. It is for one goroutine.
type Recorder struct {
	result Result
	base   state // at the start of measuring
	last   state
}

// state is Totals with histograms that differences can be taken of.
type state struct {
	at         time.Time
	counters   map[string]uint64
	errors     map[string]uint64
	tcp        map[string]uint64
	histograms map[string]*Histogram
	cpu        CPU
	warmup     bool
}

func newState(at time.Time, t Totals) state {
	s := state{at: at, counters: maps.Clone(t.Counters), errors: maps.Clone(t.Errors), tcp: maps.Clone(t.TCP), cpu: t.CPU,
		warmup: t.Warmup, histograms: make(map[string]*Histogram, len(t.Histograms))}
	for name, h := range t.Histograms {
		s.histograms[name] = CopyHistogram(h)
	}
	return s
}

// NewRecorder starts recording. The head says what the run is: tool, version, command, worker, setup, main histogram, rate.
func NewRecorder(head Result, now time.Time, t Totals) *Recorder {
	r := &Recorder{result: head}
	r.result.Schema, r.result.Start = Schema, now
	if r.result.Workers == 0 {
		r.result.Workers, r.result.Of = 1, []int{0}
	}
	r.base = newState(now, t)
	r.last = r.base
	return r
}

// NextTick returns when the present second of wall time ends, so that the series of several machines can be aligned.
func NextTick(now time.Time) time.Time { return now.Truncate(time.Second).Add(time.Second) }

// Tick takes the totals, and returns what was added since the call before, which belongs to the series. It is to be called at
// NextTick; one that comes late makes a longer second. A warm-up ends with the first totals that are not of it: measuring starts
// there, from these totals.
func (r *Recorder) Tick(now time.Time, t Totals) Second {
	next := newState(now, t)
	s := difference(&next, &r.last)
	s.Warmup = r.last.warmup
	if r.last.warmup && !next.warmup {
		r.base, r.result.Start = next, now
	}
	r.last = next
	r.add(s)
	return s
}

// add appends to the series. What ends within the second that the entry before began in belongs to it; of a second in which the warm-up
// ends only what was measured is kept.
func (r *Recorder) add(s Second) {
	n := len(r.result.Series)
	switch {
	case n > 0 && r.result.Series[n-1].Time >= s.Time && r.result.Series[n-1].Warmup && !s.Warmup:
		r.result.Series[n-1] = s
	case n > 0 && r.result.Series[n-1].Time >= s.Time:
		last := &r.result.Series[n-1]
		s.Span += last.Span
		_ = last.add(&s) // of the same histograms: they fit
	case n < maxSeries:
		r.result.Series = append(r.result.Series, s)
	case n == maxSeries && len(r.result.Notes) == 0:
		r.result.Notes = append(r.result.Notes, "the series ends after a day; the totals are of the whole run")
	}
}

// End takes the last totals and returns the result. The recorder must not be used afterwards.
func (r *Recorder) End(now time.Time, t Totals) *Result {
	if now.After(r.last.at) {
		r.Tick(now, t)
	}
	whole := difference(&r.last, &r.base)
	out := &r.result
	out.Duration = r.last.at.Sub(r.base.at)
	out.Counters, out.Errors, out.Histograms = whole.Counters, whole.Errors, whole.Histograms
	out.TCP = subtract(r.last.tcp, r.base.tcp)
	out.CPU = CPU{User: r.last.cpu.User - r.base.cpu.User, System: r.last.cpu.System - r.base.cpu.System}
	return out
}

// difference returns what happened between two states.
func difference(now, before *state) Second {
	s := Second{Time: floorSecond(before.at), Span: now.at.Sub(before.at),
		Counters: subtract(now.counters, before.counters), Errors: subtract(now.errors, before.errors),
		Histograms: make(map[string]*Histogram, len(now.histograms))}
	for name, h := range now.histograms {
		s.Histograms[name] = h.since(before.histograms[name])
	}
	return s
}

func floorSecond(t time.Time) int64 { return int64(math.Floor(float64(t.UnixMilli()) / 1000)) }

// subtract returns a - b. What fell starts at 0 again: a generator that forgets its warm-up may do that.
func subtract(a, b map[string]uint64) map[string]uint64 {
	out := make(map[string]uint64, len(a))
	for name, v := range a {
		if before := b[name]; v >= before {
			v -= before
		}
		out[name] = v
	}
	return out
}

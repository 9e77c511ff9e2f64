package report

import (
	"maps"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Totals is what a generator has counted until now. Nobody changes the maps and histograms any more.
type Totals struct {
	// Warmup says that this is a warm-up: the generator will forget what it has counted, and begin anew.
	Warmup  bool
	Since   time.Time     // when counting began; zero: when recording did
	Elapsed time.Duration // how much time rates are of, so far; 0: all since then
	CPU     CPU

	Counters   map[string]uint64
	Errors     map[string]uint64
	TCP        map[string]uint64
	Histograms map[string]*hdrhistogram.Histogram
}

// maxSeries bounds the series of a result: a day.
const maxSeries = 86_400

// Recorder makes a Result of totals that it is told about once a second. It is for one goroutine.
type Recorder struct {
	result Result
	last   state
}

// state is Totals with histograms that differences can be taken of.
type state struct {
	at         time.Time
	since      time.Time
	elapsed    time.Duration
	counters   map[string]uint64
	errors     map[string]uint64
	tcp        map[string]uint64
	histograms map[string]*Histogram
	cpu        CPU
	warmup     bool
}

func newState(at time.Time, t Totals) state {
	s := state{at: at, since: t.Since, elapsed: t.Elapsed, counters: maps.Clone(t.Counters), errors: maps.Clone(t.Errors),
		tcp: maps.Clone(t.TCP), cpu: t.CPU, warmup: t.Warmup, histograms: make(map[string]*Histogram, len(t.Histograms))}
	for name, h := range t.Histograms {
		s.histograms[name] = CopyHistogram(h)
	}
	return s
}

// NewRecorder starts recording what is counted since a time. The head says what the run is: tool, version, command, worker, setup, main
// histogram, rate.
func NewRecorder(head Result, since time.Time) *Recorder {
	r := &Recorder{result: head}
	r.result.Schema, r.result.Start = Schema, since
	if r.result.Workers == 0 {
		r.result.Workers, r.result.Of = 1, []int{0}
	}
	r.last = state{at: since, since: since, warmup: true} // nothing is measured yet
	return r
}

// NextTick returns when the present second of wall time ends, so that the series of several machines can be aligned.
func NextTick(now time.Time) time.Time { return now.Truncate(time.Second).Add(time.Second) }

// Tick takes the totals, and returns what was added since the call before, which belongs to the series. It is to be called at
// NextTick; one that comes late makes a longer second.
func (r *Recorder) Tick(now time.Time, t Totals) Second {
	next := newState(now, t)
	if r.last.warmup && !next.warmup {
		if next.since.IsZero() {
			next.since = r.result.Start
		}
		r.last = state{at: next.since}
		r.result.Start = next.since
	} else {
		next.since = r.last.since
	}
	s := difference(&next, &r.last)
	s.Warmup = next.warmup
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
	last, out := &r.last, &r.result
	if last.warmup {
		out.note("it ended during the warm-up: nothing was measured")
		*last = state{at: last.at, since: last.at}
	}
	out.Duration = last.elapsed
	if out.Duration == 0 {
		out.Duration = last.at.Sub(last.since)
	}
	out.Counters, out.Errors, out.TCP, out.Histograms = last.counters, last.errors, last.tcp, last.histograms
	out.CPU = last.cpu
	return out
}

// difference returns what happened between two states.
func difference(now, before *state) Second {
	s := Second{Time: floorSecond(before.at), Span: now.at.Sub(before.at),
		Counters: subtract(now.counters, before.counters), Errors: subtract(now.errors, before.errors),
		Histograms: make(map[string]*Histogram, len(now.histograms))}
	for name, h := range now.histograms {
		if more := h.since(before.histograms[name]); more.TotalCount() > 0 {
			s.Histograms[name] = more
		}
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

package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expectation is one condition that a result is to meet: "p99<5ms".
type Expectation struct {
	Text  string // as it was written
	name  quantity
	op    operator
	value float64 // in the unit of its kind: seconds, a count, a share of 1, a rate a second
	kind  kind
}

// kind is what a value is.
type kind uint8

const (
	number   kind = iota // a count
	duration             // seconds
	share                // a part of 1
	perTime              // a rate, a second
)

// want is how a value of the kind is written.
func (k kind) want() string {
	return [...]string{"a number, such as 100 or 10k", "a time, such as 5ms or 200us", "a share, such as 0.1%", "a rate, such as 10k/s"}[k]
}

// write writes a value of the kind.
func (k kind) write(v float64) string {
	switch k {
	case duration:
		return strings.Replace(time.Duration(math.Round(v*1e9)).String(), "µs", "us", 1) // to the last digit: it may decide
	case share:
		return strconv.FormatFloat(v*100, 'g', 4, 64) + "%"
	case perTime:
		return strconv.FormatFloat(v, 'f', 1, 64) + "/s"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// operator compares.
type operator uint8

// operators are tried in this order, the longer ones first.
var operators = []struct {
	text  string
	words string
	holds func(a, b float64) bool
}{
	{"<=", "at most", func(a, b float64) bool { return a <= b }},
	{">=", "at least", func(a, b float64) bool { return a >= b }},
	{"==", "exactly", func(a, b float64) bool { return a == b }},
	{"!=", "other than", func(a, b float64) bool { return a != b }},
	{"<", "below", func(a, b float64) bool { return a < b }},
	{">", "above", func(a, b float64) bool { return a > b }},
	{"=", "exactly", func(a, b float64) bool { return a == b }},
}

// Outcome says whether a result meets an expectation.
type Outcome struct {
	Expectation string `json:"expectation"`
	Met         bool   `json:"met"`
	Measured    string `json:"measured"` // the value, or why there is none
	Line        string `json:"line"`     // for people: expected and measured
}

// Check compares a result with an expectation. What was not measured meets none.
func (e *Expectation) Check(r *Result) Outcome {
	o := Outcome{Expectation: e.Text}
	op := operators[e.op]
	v, err := e.name.measure(r, e.kind)
	if err != nil {
		o.Measured = err.Error()
	} else {
		o.Met, o.Measured = op.holds(v, e.value), e.kind.write(v)
	}
	o.Line = fmt.Sprintf("%s: expected %s %s, measured %s", e.Text, op.words, e.kind.write(e.value), o.Measured)
	return o
}

// CheckAll compares a result with all expectations, keeps what came of it with the result, and reports whether all are met.
func CheckAll(all []Expectation, r *Result) (met bool) {
	r.Outcomes = nil
	met = true
	for i := range all {
		o := all[i].Check(r)
		met = met && o.Met
		r.Outcomes = append(r.Outcomes, o)
	}
	return met
}

// quantity is something that a result has a value of.
type quantity struct {
	of   source
	name string  // of the counter, histogram or kind of error; "" for the main one
	stat string  // of a histogram: "p", "min", "mean", "max" or "count"
	at   float64 // the percentile
}

// source is the part of a result that a quantity comes from.
type source uint8

const (
	ofHistogram source = iota
	ofCounter
	ofErrors // of one kind, or all
	ofTCP
	ofRate     // of the main counter
	ofDuration // of the run
	ofCPU      // processors used
)

// kinds are those that a quantity can be compared as, the usual one first.
func (q quantity) kinds() []kind {
	switch q.of {
	case ofHistogram:
		if q.stat == "count" {
			return []kind{number, perTime}
		}
		return []kind{duration}
	case ofErrors:
		return []kind{share, number, perTime}
	case ofRate:
		return []kind{perTime}
	case ofDuration:
		return []kind{duration}
	case ofCPU:
		return []kind{number}
	}
	return []kind{number, perTime}
}

// measure returns the value.
func (q quantity) measure(r *Result, as kind) (float64, error) {
	var n uint64
	switch q.of {
	case ofHistogram:
		return q.ofHistogram(r, as)
	case ofDuration:
		return r.Duration.Seconds(), nil
	case ofCPU:
		return r.CPU.Total().Seconds() / max(r.Duration.Seconds(), 1e-9), nil
	case ofRate:
		return r.Rate(r.RateOf), nil
	case ofErrors:
		n = r.Errors[q.name] // one kind that did not happen is 0
		if q.name == "" {
			n = r.Failed()
		}
	case ofTCP, ofCounter:
		from, what := r.Counters, "counter"
		if q.of == ofTCP {
			from, what = r.TCP, "TCP counter"
		}
		v, ok := from[q.name]
		if !ok {
			return 0, fmt.Errorf("nothing: there is no %s %s", what, q.name)
		}
		n = v
	}
	switch as {
	case share:
		ended := r.Failed() + r.Counters[r.RateOf]
		if ended == 0 {
			return 0, fmt.Errorf("nothing: none has ended, well or not")
		}
		return float64(n) / float64(ended), nil
	case perTime:
		return rate(n, r.Duration), nil
	}
	return float64(n), nil
}

func (q quantity) ofHistogram(r *Result, as kind) (float64, error) {
	name := q.name
	if name == "" {
		name = r.Main
	}
	h := r.Histograms[name]
	switch {
	case h == nil:
		return 0, fmt.Errorf("nothing: there is no histogram %s", name)
	case q.stat == "count" && as == perTime:
		return rate(uint64(h.TotalCount()), r.Duration), nil
	case q.stat == "count":
		return float64(h.TotalCount()), nil
	case h.TotalCount() == 0:
		return 0, fmt.Errorf("nothing: the histogram %s is empty", name)
	}
	switch q.stat {
	case "min":
		return float64(h.Min()) / 1e9, nil
	case "max":
		return float64(h.Max()) / 1e9, nil
	case "mean":
		return h.Mean() / 1e9, nil
	}
	return float64(h.ValueAtPercentile(q.at)) / 1e9, nil
}

// Vocabulary is what a tool measures. An empty list stands for any name.
type Vocabulary struct {
	Histograms []string
	Counters   []string
	Errors     []string
}

// Vocabulary returns what a result has.
func (r *Result) Vocabulary() Vocabulary {
	var v Vocabulary
	for name := range r.Histograms {
		v.Histograms = append(v.Histograms, name)
	}
	for name := range r.Counters {
		v.Counters = append(v.Counters, name)
	}
	slices.Sort(v.Histograms)
	slices.Sort(v.Counters)
	return v
}

// FormatDuration writes a time with three digits or so: 1.23ms.
func FormatDuration(d time.Duration) string {
	switch abs := d.Abs(); {
	case abs >= 100*time.Second:
		d = d.Round(time.Second)
	case abs >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case abs >= 100*time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	case abs >= 10*time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	case abs >= time.Millisecond:
		d = d.Round(time.Microsecond)
	case abs >= 100*time.Microsecond:
		d = d.Round(100 * time.Nanosecond)
	case abs >= 10*time.Microsecond:
		d = d.Round(10 * time.Nanosecond)
	}
	return strings.Replace(d.String(), "µs", "us", 1)
}

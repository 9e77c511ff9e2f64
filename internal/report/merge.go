package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Errors of Merge, for errors.Is.
var (
	ErrMerge    = errors.New("the results do not fit together")
	ErrSameWork = fmt.Errorf("%w: the same worker's twice", ErrMerge)
)

// Merge puts the results of workers that ran together into one, which can be merged again. It refuses results that are not of one run:
// of other tools, of another setup, of the same worker, of other times. Which workers are missing is in [Result.Missing].
func Merge(results ...*Result) (*Result, error) {
	if len(results) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrMerge)
	}
	out := results[0].clone()
	for _, r := range results[1:] {
		if err := out.fits(r); err != nil {
			return nil, err
		}
		if err := out.add(r); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMerge, err)
		}
	}
	return out, nil
}

// Missing returns the numbers of the workers whose results are not in it.
func (r *Result) Missing() (missing []int) {
	for n := range r.Workers {
		if _, ok := slices.BinarySearch(r.Of, n); !ok {
			missing = append(missing, n)
		}
	}
	return missing
}

// End returns when measuring ended.
func (r *Result) End() time.Time { return r.Start.Add(r.Duration) }

// fits says why another result cannot be added.
func (r *Result) fits(o *Result) error {
	switch {
	case r.Schema != o.Schema:
		return fmt.Errorf("%w: schema %d and schema %d", ErrMerge, r.Schema, o.Schema)
	case r.Tool != o.Tool:
		return fmt.Errorf("%w: one is of %s, another of %s", ErrMerge, r.Tool, o.Tool)
	case r.Main != o.Main || r.RateOf != o.RateOf:
		return fmt.Errorf("%w: they measure %s and %s, %s and %s", ErrMerge, r.Main, o.Main, r.RateOf, o.RateOf)
	case r.Workers != o.Workers:
		return fmt.Errorf("%w: one is of %d workers, another of %d", ErrMerge, r.Workers, o.Workers)
	}
	for _, n := range o.Of {
		if _, ok := slices.BinarySearch(r.Of, n); ok {
			return fmt.Errorf("%w: number %d of %d (each copy needs a number of its own: --worker i/n)", ErrSameWork, n, r.Workers)
		}
	}
	if err := sameSetup(r.Setup, o.Setup); err != nil {
		return err
	}
	if o.Start.After(r.End()) || r.Start.After(o.End()) {
		return fmt.Errorf("%w: one ran from %s to %s, another from %s to %s: their rates never came together (start them with --start-at)",
			ErrMerge, clockTime(r.Start), clockTime(r.End()), clockTime(o.Start), clockTime(o.End()))
	}
	return nil
}

func clockTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// setting returns what a name is set to.
func setting(all []Setting, name string) string {
	for _, s := range all {
		if s.Name == name {
			return s.Value
		}
	}
	return "nothing"
}

func sameSetup(a, b []Setting) error {
	for _, s := range slices.Concat(a, b) {
		if x, y := setting(a, s.Name), setting(b, s.Name); x != y {
			return fmt.Errorf("%w: %s is %s for one, %s for another", ErrMerge, s.Name, x, y)
		}
	}
	return nil
}

// apart is how much later than the first a worker may start without a note.
const apart = 100 * time.Millisecond

// add adds a result that fits.
func (r *Result) add(o *Result) error {
	if r.Version != o.Version {
		r.note(fmt.Sprintf("the workers are of different versions: %s and %s", r.Version, o.Version))
	}
	for _, n := range o.Notes {
		r.note(n)
	}
	if d := o.Start.Sub(r.Start).Abs(); d > apart {
		r.note(fmt.Sprintf("worker %s started %v %s worker %s", joinInts(o.Of), d.Round(time.Millisecond),
			map[bool]string{true: "before", false: "after"}[o.Start.Before(r.Start)], joinInts(r.Of)))
	}
	end := r.End()
	if o.End().After(end) {
		end = o.End()
	}
	if o.Start.Before(r.Start) {
		r.Start = o.Start
	}
	r.Duration = end.Sub(r.Start)
	r.Of = append(r.Of, o.Of...)
	slices.Sort(r.Of)
	r.Counters, r.Errors, r.TCP = addCounts(r.Counters, o.Counters), addCounts(r.Errors, o.Errors), addCounts(r.TCP, o.TCP)
	r.CPU.User += o.CPU.User
	r.CPU.System += o.CPU.System
	var err error
	if r.Histograms, err = addHistograms(r.Histograms, o.Histograms); err != nil {
		return err
	}
	r.Series, err = addSeries(r.Series, o.Series)
	return err
}

func (r *Result) note(text string) {
	if !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

func joinInts(n []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(n), " ", ", "), "[]")
}

// clone returns a copy that shares nothing that add changes.
func (r *Result) clone() *Result {
	out := *r
	out.Of, out.Notes, out.Outcomes = slices.Clone(r.Of), slices.Clone(r.Notes), nil
	out.Counters, out.Errors, out.TCP = addCounts(nil, r.Counters), addCounts(nil, r.Errors), addCounts(nil, r.TCP)
	out.Histograms, _ = addHistograms(nil, r.Histograms) // copies of them fit
	out.Series, _ = addSeries(nil, r.Series)
	return &out
}

func addCounts(a, b map[string]uint64) map[string]uint64 {
	if a == nil {
		a = make(map[string]uint64, len(b))
	}
	for name, v := range b {
		a[name] += v
	}
	return a
}

func addHistograms(a, b map[string]*Histogram) (map[string]*Histogram, error) {
	if a == nil {
		a = make(map[string]*Histogram, len(b))
	}
	for name, h := range b {
		if a[name] == nil {
			a[name] = h.Clone()
		} else if err := a[name].Add(h); err != nil {
			return a, fmt.Errorf("histogram %s: %w", name, err)
		}
	}
	return a, nil
}

// add adds what another worker did in the same second, or the same worker in the rest of it.
func (s *Second) add(o *Second) (err error) {
	s.Span = max(s.Span, o.Span)
	s.Warmup = s.Warmup || o.Warmup
	s.Counters, s.Errors = addCounts(s.Counters, o.Counters), addCounts(s.Errors, o.Errors)
	s.Histograms, err = addHistograms(s.Histograms, o.Histograms)
	return err
}

// addSeries merges two series that are in order of time; a is changed.
func addSeries(a, b []Second) ([]Second, error) {
	out := make([]Second, 0, max(len(a), len(b)))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Time < b[0].Time:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].Time < a[0].Time:
			own := Second{Time: b[0].Time}
			if err := own.add(&b[0]); err != nil {
				return nil, err
			}
			out, b = append(out, own), b[1:]
		default:
			if err := a[0].add(&b[0]); err != nil {
				return nil, err
			}
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return out, nil
}

// Package compare says what changed between two reports beyond noise.
//
// A machine is not the same from one run to the next, but its peers ran on it, too. So our side is judged by its values divided by the
// peers' of the same repeat (their geometric mean), as samples of either report, by the Mann-Whitney U test: it asks whether the values
// of one lie above those of the other more often than chance would have it, and assumes nothing of how they are distributed. Peers, and
// our side where it has none, are judged by their values as they are.
package compare

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// Options say what counts as a change.
type Options struct {
	Alpha float64 // the probability of seeing one where there is none, of each comparison
	Min   float64 // the least change of medians that is worth a word, as a part of one
}

// Verdict says what came of one comparison.
type Verdict string

// The verdicts.
const (
	Better  Verdict = "better"
	Worse   Verdict = "worse"
	Same    Verdict = "same"         // within noise
	Unclear Verdict = "too few runs" // no outcome could have told it from chance
	Gone    Verdict = "not any more" // measured only the first time
	New     Verdict = "not before"   // measured only the second time
	Failed  Verdict = "not measured" // neither time
)

// Row is one figure of one side of a benchmark.
type Row struct {
	Benchmark string         `json:"benchmark"`
	Title     string         `json:"title"`
	Side      string         `json:"side"`
	Figure    string         `json:"figure"` // the unit of the value, or the name of a further figure
	Ours      bool           `json:"ours,omitempty"`
	Old       result.Summary `json:"old"`
	New       result.Summary `json:"new"`
	Change    float64        `json:"change,omitempty"` // of the medians; above one is better, for costs as for throughput
	Peers     float64        `json:"peers,omitempty"`  // by how much the peers changed in the median, 0 without any
	Net       float64        `json:"net,omitempty"`    // of the medians of what was divided by the peers'
	P         float64        `json:"p"`                // of the comparison that decides
	Verdict   Verdict        `json:"verdict"`
}

// Reports compares each benchmark, side and figure of two reports.
func Reports(before, after *result.Report, o Options) []Row {
	var rows []Row
	for _, b := range after.Benchmarks {
		a := benchmark(before, b.Name)
		if a == nil {
			a = &result.Benchmark{Name: b.Name}
		}
		rows = append(rows, benchmarks(a, b, o)...)
	}
	for _, a := range before.Benchmarks {
		if benchmark(after, a.Name) == nil {
			rows = append(rows, benchmarks(a, &result.Benchmark{
				Name: a.Name, Title: a.Title, Unit: a.Unit, Lower: a.Lower, Ours: a.Ours, Targets: a.Targets,
			}, o)...)
		}
	}
	return rows
}

// Regressions counts what became worse of our sides.
func Regressions(rows []Row) int {
	n := 0
	for _, r := range rows {
		if r.Ours && r.Verdict == Worse {
			n++
		}
	}
	return n
}

func benchmark(r *result.Report, name string) *result.Benchmark {
	for _, b := range r.Benchmarks {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// figure is one of those that a benchmark is judged by.
type figure struct {
	name, shown string
	lower       bool
}

// figuresOf are the value and what the targets are about.
func figuresOf(b *result.Benchmark) []figure {
	f := []figure{{"", b.Unit, b.Lower}}
	for i := range b.Targets {
		t := &b.Targets[i]
		known := t.Figure == ""
		for _, x := range f {
			known = known || x.name == t.Figure
		}
		if !known {
			f = append(f, figure{t.Figure, t.Figure, t.Lower || t.Against == "" && t.AtLeast == 0})
		}
	}
	return f
}

func benchmarks(a, b *result.Benchmark, o Options) []Row {
	sides := make([]string, 0, len(b.Sides))
	for _, s := range b.Sides {
		sides = append(sides, s.Name)
	}
	for _, s := range a.Sides {
		if b.Side(s.Name) == nil {
			sides = append(sides, s.Name)
		}
	}
	var rows []Row
	for _, f := range figuresOf(b) {
		var peers []string
		for _, s := range b.Sides {
			if s.Name != b.Ours && !s.NoPeer && has(a.Side(s.Name), f) && has(s, f) {
				peers = append(peers, s.Name)
			}
		}
		for _, name := range sides {
			x, y := a.Side(name), b.Side(name)
			if f.name != "" && !has(x, f) && !has(y, f) {
				continue
			}
			r := Row{Benchmark: b.Name, Title: b.Title, Side: name, Figure: f.shown, Ours: name == b.Ours}
			r.judge(sample{a, x, peers}, sample{b, y, peers}, f, o)
			rows = append(rows, r)
		}
	}
	return rows
}

func has(s *result.Side, f figure) bool {
	return s != nil && result.Summarize(good(s.Figures(f.name))).N > 0
}

// sample is one side in one report.
type sample struct {
	of    *result.Benchmark
	side  *result.Side
	peers []string
}

func (s sample) raw(f figure) []float64 {
	if s.side == nil {
		return nil
	}
	return s.side.Figures(f.name)
}

// net are the values in units of the peers' of the same repeat.
func (s sample) net(f figure) []float64 {
	v := s.raw(f)
	for i := range v {
		v[i] /= s.meanOfPeers(f, i)
	}
	return v
}

// meanOfPeers is the geometric mean of the peers' values in a repeat, NaN if one of them has none.
func (s sample) meanOfPeers(f figure, repeat int) float64 {
	sum := 0.0
	for _, p := range s.peers {
		v := s.of.Side(p).Figures(f.name)
		if repeat >= len(v) {
			return math.NaN()
		}
		sum += math.Log(v[repeat])
	}
	return math.Exp(sum / float64(len(s.peers)))
}

// good leaves out what has no value.
func good(v []float64) []float64 {
	return slices.DeleteFunc(v, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}

func (r *Row) judge(a, b sample, f figure, o Options) {
	old, now := good(a.raw(f)), good(b.raw(f))
	r.Old, r.New, r.P = result.Summarize(old), result.Summarize(now), 1
	switch {
	case r.Old.N == 0 && r.New.N == 0:
		r.Verdict = Failed
		return
	case r.Old.N == 0:
		r.Verdict = New
		return
	case r.New.N == 0:
		r.Verdict = Gone
		return
	}
	r.Change = change(old, now, f.lower)
	decides := r.Change
	if r.Ours && len(a.peers) > 0 {
		if x, y := good(a.net(f)), good(b.net(f)); len(x) > 0 && len(y) > 0 {
			r.Net = change(x, y, f.lower)
			r.Peers = change(peersOf(a, f), peersOf(b, f), f.lower)
			old, now, decides = x, y, r.Net
		}
	}
	r.decide(old, now, decides, o)
}

func peersOf(s sample, f figure) []float64 {
	v := s.raw(f)
	for i := range v {
		v[i] = s.meanOfPeers(f, i)
	}
	return good(v)
}

// most is what a change is called that is beyond any number: that to or from nothing.
const most = 1000

// change is how many times better the median is. Less than a thousandth is nothing, and nothing does not change.
func change(old, now []float64, lower bool) float64 {
	x, y := result.Summarize(old).Median, result.Summarize(now).Median
	if lower {
		x, y = y, x
	}
	if x < 0.001 && y < 0.001 {
		return 1
	}
	return min(max(y/x, 1.0/most), most)
}

func (r *Row) decide(old, now []float64, change float64, o Options) {
	t := benchmath.DefaultThresholds
	t.CompareAlpha = o.Alpha
	if least(len(old), len(now)) > o.Alpha {
		r.Verdict = Unclear
		return
	}
	c := benchmath.AssumeNothing.Compare(benchmath.NewSample(old, &t), benchmath.NewSample(now, &t))
	r.P, r.Verdict = c.P, Same
	if c.P >= o.Alpha || math.Abs(math.Log(change)) < math.Log(1+o.Min) {
		return
	}
	r.Verdict = Better
	if change < 1 {
		r.Verdict = Worse
	}
}

// least is the smallest probability that the test can give: that of one sample lying all above the other, or all below.
func least(n, m int) float64 {
	p := 2.0
	for i := 1; i <= n; i++ {
		p *= float64(i) / float64(m+i)
	}
	return p
}

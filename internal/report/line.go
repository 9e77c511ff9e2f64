package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Column is one of the counters that a line has.
type Column struct {
	Name   string // of the counter
	Title  string // above it
	Second bool   // as a rate; else how many there were
}

// Lines prints what each second brought, a line for each.
type Lines struct {
	w       io.Writer
	main    string
	columns []Column
	n       int
}

// headEvery is after how many lines the titles come again.
const headEvery = 20

// columnWidth fits a rate of ten millions.
const columnWidth = 11

// NewLines prints on w the given counters, failures, and the latency of the main histogram.
func NewLines(w io.Writer, main string, columns ...Column) *Lines {
	return &Lines{w: w, main: main, columns: columns}
}

// latencies are the percentiles that a line has.
var latencies = []float64{50, 99, 100}

// Print prints a second, unless too little of it was measured for rates to mean anything. Failures are told by kind, if there were any.
func (l *Lines) Print(s *Second) {
	if s.Span < minSpan {
		return
	}
	var b strings.Builder
	if l.n%headEvery == 0 {
		fmt.Fprintf(&b, "%-8s", "time")
		for _, c := range l.columns {
			fmt.Fprintf(&b, " %*s", columnWidth, c.Title)
		}
		fmt.Fprintf(&b, " %*s %*s %*s\n", columnWidth-2, "p50", columnWidth-2, "p99", columnWidth-2, "max")
	}
	l.n++
	b.WriteString(time.Unix(s.Time, 0).Format(time.TimeOnly))
	for _, c := range l.columns {
		v := float64(s.Counters[c.Name])
		if c.Second {
			v = s.Rate(c.Name)
		}
		fmt.Fprintf(&b, " %*s", columnWidth, FormatCount(v))
	}
	l.latency(&b, s)
	if s.Warmup {
		b.WriteString("  warm-up")
	}
	if kinds := FormatErrors(s.Errors); kinds != "" {
		b.WriteString("  " + kinds)
	}
	fmt.Fprintln(l.w, b.String())
}

func (l *Lines) latency(b *strings.Builder, s *Second) {
	h := s.Histograms[l.main]
	for _, p := range latencies {
		text := "-"
		if h != nil && h.TotalCount() > 0 {
			text = FormatDuration(time.Duration(h.ValueAtPercentile(p)))
		}
		fmt.Fprintf(b, " %*s", columnWidth-2, text)
	}
}

// FormatErrors lists the kinds of errors that there were, the most frequent first: "timeout 3, refused 1".
func FormatErrors(errors map[string]uint64) string {
	var words []string
	for _, name := range byCount(errors) {
		if n := errors[name]; n > 0 {
			words = append(words, fmt.Sprintf("%s %s", name, FormatCount(float64(n))))
		}
	}
	return strings.Join(words, ", ")
}

// byCount returns the names, the greatest count first.
func byCount(counts map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			if counts[a] > counts[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
}

// FormatCount writes a number with thousands set apart, and a digit behind the point where it is small and broken.
func FormatCount(v float64) string {
	if v >= 0 && v < 100 && v != float64(int64(v)) {
		return fmt.Sprintf("%.1f", v)
	}
	if v < 0 {
		return "-" + FormatCount(-v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

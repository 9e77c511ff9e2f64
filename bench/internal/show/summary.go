package show

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// mark is a target with its benchmark.
type mark struct {
	Benchmark *result.Benchmark
	Target    *result.Target
}

// marks returns all targets by their rows; those without a row come last.
func marks(r *result.Report) []mark {
	var m []mark
	for _, b := range r.Benchmarks {
		for i := range b.Targets {
			m = append(m, mark{b, &b.Targets[i]})
		}
	}
	slices.SortStableFunc(m, func(x, y mark) int { return compareRows(x.Benchmark.Row, y.Benchmark.Row) })
	return m
}

// compareRows orders "2" before "6", "6b" and "10".
func compareRows(a, b string) int {
	if (a == "") != (b == "") {
		return cmp.Compare(len(b), len(a))
	}
	n := func(s string) int {
		v, _ := strconv.Atoi(strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz"))
		return v
	}
	return cmp.Or(cmp.Compare(n(a), n(b)), strings.Compare(a, b))
}

// Measured says what a target's figure came out as.
func (m mark) Measured() string {
	t := m.Target
	switch {
	case t.Measured.N == 0:
		return ""
	case t.Measured.Max < 0.001:
		return "0"
	case t.Against == "":
		return value(t.Measured)
	case t.Verdict == result.Unproven && t.Measured.Median >= t.AtLeast:
		return ratio(t.Measured) + ", the client had no time left"
	}
	return ratio(t.Measured)
}

// Why says what is known of a target that is not met.
func (m mark) Why() string {
	t := m.Target
	var why []string
	if m.Benchmark.Skipped != "" {
		why = append(why, m.Benchmark.Skipped)
	}
	if t.Verdict == result.NotMet || t.Verdict == result.Unproven {
		if t.Bound != "" {
			why = append(why, "bounded by "+t.Bound)
		}
		if p := m.Benchmark.Profile; p != nil {
			why = append(why, "busiest: "+busiest(p, 3))
		}
	}
	return strings.Join(why, "; ")
}

func busiest(p *result.Profile, n int) string {
	var names []string
	for _, f := range p.Top[:min(n, len(p.Top))] {
		names = append(names, fmt.Sprintf("%s %.0f %%", f.Name, f.Share*100))
	}
	return strings.Join(names, ", ")
}

// tally says how many targets came out how.
func tally(m []mark) string {
	n := make(map[result.Verdict]int)
	for _, x := range m {
		n[x.Target.Verdict]++
	}
	s := fmt.Sprintf("%d of %d targets met", n[result.Met], len(m)-n[result.Reported])
	for _, v := range []result.Verdict{result.NotMet, result.Unproven, result.Unknown} {
		if n[v] > 0 {
			s += fmt.Sprintf(", %d %s", n[v], v)
		}
	}
	return s
}

// Summary writes which targets were met.
func Summary(w io.Writer, r *result.Report) {
	all := marks(r)
	if len(all) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"row", "benchmark", "target", "measured", "verdict", "why"})
	t.SetColumnConfigs([]table.ColumnConfig{
		{Number: 3, WidthMax: 40, WidthMaxEnforcer: text.WrapSoft}, {Number: 6, WidthMax: 60, WidthMaxEnforcer: text.WrapSoft},
	})
	for _, m := range all {
		t.AppendRow(table.Row{m.Benchmark.Row, m.Benchmark.Name, m.Target, m.Measured(), m.Target.Verdict, m.Why()})
	}
	t.Render()
	fmt.Fprintln(w, tally(all)+".")
}

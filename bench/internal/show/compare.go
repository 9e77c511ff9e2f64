package show

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/xdpstack/xdpstack/bench/internal/compare"
	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// Comparison writes what changed from one report to the other.
func Comparison(w io.Writer, before, after *result.Report, rows []compare.Row, o compare.Options) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"benchmark", "side", "figure", "before", "after", "is", "peers are", "less the peers", "p", "verdict"})
	var last string
	for _, r := range rows {
		name := r.Benchmark
		if name == last {
			name = ""
		} else if last != "" {
			t.AppendSeparator()
		}
		last = r.Benchmark
		t.AppendRow(table.Row{
			name, r.Side, r.Figure, summaryOrNothing(r.Old), summaryOrNothing(r.New), times(r.Change), times(r.Peers), times(r.Net),
			fmt.Sprintf("%.3f", r.P), r.Verdict,
		})
	}
	t.Render()
	fmt.Fprintln(w, "\"is\" is how many times better the median is, above one for less of a cost, too. Our side is judged less its")
	fmt.Fprintf(w, "peers, repeat by repeat. A change has p below %g (Mann-Whitney U) and is %g %% at least; of so many rows, %.1f would\n"+
		"seem to by chance.\n", o.Alpha, o.Min*100, o.Alpha*float64(tested(rows)))
	if before.Quick || after.Quick {
		fmt.Fprintln(w, "At least one of the two was a quick run: its windows are short.")
	}
	for _, c := range differences(before.Conditions, after.Conditions) {
		fmt.Fprintln(w, c)
	}
}

func summaryOrNothing(s result.Summary) string {
	if s.N == 0 {
		return ""
	}
	return value(s)
}

func times(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f×", v)
}

// tested counts the rows for which a test was made.
func tested(rows []compare.Row) int {
	n := 0
	for _, r := range rows {
		switch r.Verdict {
		case compare.Better, compare.Worse, compare.Same:
			n++
		}
	}
	return n
}

// differences are the conditions that are not the same: the other load never is.
func differences(before, after []result.Condition) []string {
	old := make(map[string]string)
	for _, c := range before {
		old[c.Name] = c.Value
	}
	var d []string
	for _, c := range after {
		if was, ok := old[c.Name]; ok && was != c.Value && c.Name != "other load" {
			d = append(d, fmt.Sprintf("  %s was %q and is %q", c.Name, was, c.Value))
		}
	}
	return d
}

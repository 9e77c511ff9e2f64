package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/xdpstack/xdpstack/internal/report"
)

// showResult prints the summary of a run.
func showResult(w io.Writer, r *report.Result) {
	fmt.Fprintf(w, "\n%s, %s from %s%s\n", r.Tool, report.FormatDuration(r.Duration), r.Start.Format("2006-01-02 15:04:05"), workersOf(r))
	for _, s := range r.Setup {
		fmt.Fprintf(w, "  %s: %s\n", s.Name, s.Value)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	fmt.Fprintf(w, "\n%s %s, %s/s; %s failed, %.4g%%\n", report.FormatCount(float64(r.Counters[r.RateOf])), r.RateOf,
		report.FormatCount(r.Rate(r.RateOf)), report.FormatCount(float64(r.Failed())), r.ErrorShare()*100)
	if r.CPU.Total() > 0 && r.Duration >= time.Millisecond { // of less it would mean nothing
		fmt.Fprintf(w, "%v user and %v system time, %.2f processors\n", r.CPU.User.Round(time.Millisecond),
			r.CPU.System.Round(time.Millisecond), r.CPU.Total().Seconds()/r.Duration.Seconds())
	}
	fmt.Fprintln(w)
	histogramTable(w, r)
	countTable(w, "errors", r.Errors)
	countTable(w, "counter", r.Counters)
	countTable(w, "TCP", r.TCP)
}

// workersOf says whose results these are, if there are several.
func workersOf(r *report.Result) string {
	if r.Workers == 1 {
		return ""
	}
	if missing := r.Missing(); len(r.Of) > 1 && len(missing) > 0 {
		return fmt.Sprintf(", %d of %d workers: %v missing", len(r.Of), r.Workers, missing)
	}
	if len(r.Of) == 1 {
		return fmt.Sprintf(", worker %d of %d", r.Of[0], r.Workers)
	}
	return fmt.Sprintf(", %d workers", r.Workers)
}

func histogramTable(w io.Writer, r *report.Result) {
	t := newTable(w, table.Row{"time", "count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"}, 2, 3, 4, 5, 6, 7, 8, 9)
	for _, name := range report.HistogramNames(r.Histograms, r.Main) {
		h := r.Histograms[name]
		if h.TotalCount() == 0 {
			continue
		}
		row := table.Row{name, report.FormatCount(float64(h.TotalCount())), report.FormatDuration(time.Duration(h.Mean()))}
		for _, v := range h.Values() {
			row = append(row, report.FormatDuration(time.Duration(v)))
		}
		t.AppendRow(row)
	}
	if t.Length() > 0 {
		t.Render()
	}
}

// countTable prints the counters that are not zero.
func countTable(w io.Writer, title string, counts map[string]uint64) {
	t := newTable(w, table.Row{title, "number"}, 2)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			t.AppendRow(table.Row{name, report.FormatCount(float64(n))})
		}
	}
	if t.Length() > 0 {
		fmt.Fprintln(w)
		t.Render()
	}
}

// showOutcomes says which expectations are met, and fails if one is not.
func showOutcomes(w io.Writer, outcomes []report.Outcome) (err error) {
	for i, o := range outcomes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		word := "met"
		if !o.Met {
			word, err = "NOT MET", errReported
		}
		fmt.Fprintf(w, "%-8s %s\n", word, o.Line)
	}
	return err
}

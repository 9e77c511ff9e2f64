package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
)

//go:embed report.html
var reportHTML string

// page is what the template is given.
type page struct {
	*Result
	Command  string
	Missing  string
	Names    []string // of percentiles
	Rows     []pageRow
	Errors   []pageCount
	Counters []pageCount
	TCP      []pageCount
	Charts   []pageChart
}

type pageRow struct {
	Name, Count, Mean string
	Values            []string
}

type pageCount struct{ Name, Count, Share string }

type pageChart struct {
	Title, About string
	SVG          template.HTML
}

// WriteHTML writes the result as one page that needs nothing beside it.
func (r *Result) WriteHTML(w io.Writer) error {
	p := page{Result: r, Command: strings.Join(r.Command, " "), Missing: joinInts(r.Missing()), Names: percentileNames}
	for _, name := range HistogramNames(r.Histograms, r.Main) {
		h := r.Histograms[name]
		if h.TotalCount() == 0 {
			continue
		}
		row := pageRow{Name: name, Count: FormatCount(float64(h.TotalCount())), Mean: FormatDuration(time.Duration(h.Mean()))}
		for _, v := range h.Values() {
			row.Values = append(row.Values, FormatDuration(time.Duration(v)))
		}
		p.Rows = append(p.Rows, row)
	}
	p.Errors, p.Counters, p.TCP = pageErrors(r), pageCounts(r.Counters), pageCounts(r.TCP)
	var err error
	if p.Charts, err = r.charts(); err != nil {
		return err
	}
	t, err := template.New("report").Funcs(template.FuncMap{
		"count": FormatCount, "duration": FormatDuration,
		"utc":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") },
		"percent": func(v float64) string { return fmt.Sprintf("%.4g%%", v*100) },
	}).Parse(reportHTML)
	if err != nil {
		return fmt.Errorf("the page's template: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// Rated is the main counter's rate, for the page.
func (p page) Rated() float64 { return p.Rate(p.RateOf) }

// Ended is the main counter, for the page.
func (p page) Ended() float64 { return float64(p.Result.Counters[p.RateOf]) }

// Processors is how many were busy, for the page.
func (p page) Processors() string { return fmt.Sprintf("%.2f", p.processors()) }

// HasWarmup tells whether the charts begin with a warm-up.
func (p page) HasWarmup() bool {
	return slices.ContainsFunc(p.Series, func(s Second) bool { return s.Warmup })
}

func pageErrors(r *Result) (out []pageCount) {
	ended := float64(r.Failed() + r.Counters[r.RateOf])
	for _, kind := range byCount(r.Errors) {
		if n := r.Errors[kind]; n > 0 {
			out = append(out, pageCount{kind, FormatCount(float64(n)), fmt.Sprintf("%.4g%%", float64(n)/ended*100)})
		}
	}
	return out
}

func pageCounts(counts map[string]uint64) (out []pageCount) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			out = append(out, pageCount{Name: name, Count: FormatCount(float64(n))})
		}
	}
	return out
}

// charts draws what there is something to draw of.
func (r *Result) charts() (out []pageChart, err error) {
	series := coarse(r.Series)
	add := func(title, about string, p *plot.Plot, err error) error {
		if err != nil {
			return fmt.Errorf("draw %s: %w", title, err)
		}
		drawn, err := svg(p)
		out = append(out, pageChart{title, about, drawn})
		return err
	}
	if len(series) > 0 {
		p, err := throughputChart(r, series)
		if err := add("Throughput", "", p, err); err != nil {
			return nil, err
		}
		p, err = latencyChart(r, series)
		if err := add("Latency over time", "The histogram "+r.Main+" of each second, on a logarithmic scale.", p, err); err != nil {
			return nil, err
		}
	}
	p, err := percentileChart(r)
	if err := add("Latency by percentile", "Each step to the right is ten times as rare.", p, err); err != nil {
		return nil, err
	}
	if r.Failed() > 0 && len(series) > 0 {
		p, err := errorChart(r, series)
		if err := add("Errors over time", "", p, err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// WriteHTMLFile writes the page as a file, or on w if the name is "-".
func (r *Result) WriteHTMLFile(name string, w io.Writer) error {
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		return err
	}
	if name == "-" {
		_, err := w.Write(b.Bytes())
		return err
	}
	return replaceFile(name, b.Bytes())
}

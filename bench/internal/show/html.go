package show

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

//go:embed report.html
var reportHTML string

// page is what the template is given.
type page struct {
	Report *result.Report
	Marks  []mark
	Tally  string
	Took   time.Duration
}

// HTML writes the report as one page that needs nothing beside it: the charts are in it, and links are only to the profiles.
func HTML(path string, r *result.Report) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"value": value, "ratio": ratio, "percent": func(f float64) string { return fmt.Sprintf("%.1f", f*100) },
		"chart": inlineChart, "collections": collections,
		"said": func(b *result.Benchmark, s *result.Side) string {
			return strings.Join(append(verdicts(b, s), remarks(s)...), "; ")
		},
		"driven": driven,
		"server": func(s *result.Side) string { return cpu(s, func(r result.Run) result.CPU { return r.Server }) },
		"client": func(s *result.Side) string { return cpu(s, func(r result.Run) result.CPU { return r.Client }) },
		"efficiency": func(s *result.Side) string {
			if v, ok := perCPU(s); ok {
				return number(v.Median)
			}
			return ""
		},
		"class":    func(v result.Verdict) string { return strings.ReplaceAll(string(v), " ", "-") },
		"relative": func(file string) string { return relative(path, file) },
		"number":   number,
	}).Parse(reportHTML)
	if err != nil {
		return fmt.Errorf("show: the page's template: %w", err)
	}
	var b bytes.Buffer
	all := marks(r)
	if err := t.Execute(&b, page{Report: r, Marks: all, Tally: tally(all), Took: r.Took.Round(time.Second)}); err != nil {
		return fmt.Errorf("show: make the page: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("show: make the page's directory: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("show: write the page: %w", err)
	}
	return nil
}

// driven reports whether there was a client, or anything else on a second processor.
func driven(b *result.Benchmark) bool {
	return slices.ContainsFunc(b.Sides, func(s *result.Side) bool {
		return slices.ContainsFunc(s.Runs, func(r result.Run) bool { return r.Client.Process > 0 || r.Busy > 0 })
	})
}

// inlineChart draws one benchmark as an element of the page. It has nothing to draw if there are no values.
func inlineChart(b *result.Benchmark) (template.HTML, error) {
	p, err := panel(b)
	if err != nil || p == nil {
		return "", err
	}
	p.Title.Text = ""
	p.BackgroundColor = nil
	svg := vgsvg.New(panelWidth, panelHeightOf(b))
	p.Draw(newCanvas(svg))
	out, err := svgBytes(svg)
	if err != nil {
		return "", err
	}
	if i := bytes.Index(out, []byte("<svg")); i > 0 { // no XML declaration inside of a page
		out = out[i:]
	}
	return template.HTML(out), nil //nolint:gosec // drawn from numbers and names by the plotting library, which escapes them
}

// relative is the file as seen from the page, so that both can be moved together.
func relative(page, file string) string {
	from, err := filepath.Abs(filepath.Dir(page))
	if err != nil {
		return file
	}
	to, err := filepath.Rel(from, file)
	if err != nil {
		return file
	}
	return filepath.ToSlash(to)
}

package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Sizes of a chart.
const (
	chartWidth  = 21 * vg.Centimeter
	chartHeight = 6.5 * vg.Centimeter
)

// palette are the lines' colours.
var palette = []color.RGBA{
	{R: 0x1b, G: 0x6c, B: 0xa8, A: 0xff}, {R: 0xd9, G: 0x82, B: 0x2b, A: 0xff}, {R: 0x2b, G: 0x7a, B: 0x3d, A: 0xff},
	{R: 0x8e, G: 0x4b, B: 0xa0, A: 0xff}, {R: 0x55, G: 0x60, B: 0x6b, A: 0xff}, {R: 0xb3, G: 0x26, B: 0x1e, A: 0xff},
}

var (
	failedColor = palette[5]
	gridColor   = color.RGBA{R: 0xe4, G: 0xe7, B: 0xea, A: 0xff}
)

// newChart makes an empty one.
func newChart(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 9}
	for _, f := range []*font.Font{&p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font,
		&p.Legend.TextStyle.Font} {
		*f = sans
	}
	p.X.Tick.Marker = timeTicks{}
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.Label.Padding, p.Y.Label.Padding = 3, 5
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = 2, 8, -4
	p.Legend.ThumbnailWidth = 14
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = gridColor, gridColor
	p.Add(grid)
	return p
}

// addLine draws points, or a mark where there is only one.
func addLine(p *plot.Plot, name string, points plotter.XYs, c color.Color) error {
	if len(points) == 0 {
		return nil
	}
	line, marks, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width = c, 1.2
	marks.Shape, marks.Color, marks.Radius = draw.CircleGlyph{}, c, 1.6
	p.Add(line)
	if len(points) <= 2 {
		p.Add(marks)
	}
	p.Legend.Add(name, line)
	return nil
}

// svg draws the chart as an element of a page. Whoever looks at it may lack the font that the layout is made for; the others named have
// the same widths.
func svg(p *plot.Plot) (template.HTML, error) {
	canvas := vgsvg.New(chartWidth, chartHeight)
	p.Draw(draw.Crop(draw.New(canvas), 2, -10, 4, -4)) // room for the last tick's label
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", fmt.Errorf("draw a chart: %w", err)
	}
	out := b.Bytes()
	if i := bytes.Index(out, []byte("<svg")); i > 0 { // without the declaration of an XML document
		out = out[i:]
	}
	out = bytes.ReplaceAll(out, []byte("font-family:Liberation Sans"),
		[]byte("font-family:'Liberation Sans',Arimo,Arial,Helvetica,sans-serif"))
	return template.HTML(out), nil // made here, of numbers and of names that the drawing has escaped
}

// maxPoints is how many points a line has at most: more cannot be told apart.
const maxPoints = 1000

// coarse puts neighbouring seconds together, so that there are at most maxPoints.
func coarse(series []Second) []Second {
	n := (len(series) + maxPoints - 1) / maxPoints
	if n <= 1 {
		return series
	}
	var out []Second
	for i := range series {
		if i%n > 0 {
			last := &out[len(out)-1]
			span := last.Span + series[i].Span
			_ = last.add(&series[i]) // what does not fit the first's range is above what a chart shows
			last.Span = span
			continue
		}
		s := Second{Time: series[i].Time}
		_ = s.add(&series[i])
		out = append(out, s)
	}
	return out
}

// minSpan is how much of a second must have been measured to have a rate of its own, in a chart or a line.
const minSpan = 100 * time.Millisecond

// overTime makes points of a figure of each second, at its middle. NaN is left out.
func (r *Result) overTime(series []Second, figure func(*Second) float64) (points plotter.XYs) {
	for i := range series {
		s := &series[i]
		y := figure(s)
		if s.Span < minSpan || math.IsNaN(y) {
			continue
		}
		begin := max(float64(s.Time)-float64(r.Start.UnixNano())/1e9, 0)
		if s.Warmup {
			begin = float64(s.Time) - float64(r.Start.UnixNano())/1e9
		}
		points = append(points, plotter.XY{X: begin + s.Span.Seconds()/2, Y: y})
	}
	return points
}

const timeLabel = "seconds since measuring began"

// throughputChart shows how much was begun, done and failed.
func throughputChart(r *Result, series []Second) (*plot.Plot, error) {
	p := newChart(timeLabel, "per second")
	p.Y.Min = 0
	p.Y.Tick.Marker = plainTicks{}
	if r.Counters["started"] > 0 {
		points := r.overTime(series, func(s *Second) float64 { return s.Rate("started") })
		if err := addLine(p, "started", points, palette[1]); err != nil {
			return nil, err
		}
	}
	if err := addLine(p, r.RateOf, r.overTime(series, func(s *Second) float64 { return s.Rate(r.RateOf) }), palette[0]); err != nil {
		return nil, err
	}
	if r.Failed() > 0 {
		points := r.overTime(series, func(s *Second) float64 { return rate(sum(s.Errors), s.Span) })
		if err := addLine(p, "failed", points, failedColor); err != nil {
			return nil, err
		}
	}
	p.Y.Max = p.Y.Max*1.25 + 1 // room for the legend
	return p, nil
}

// latencyChart shows percentiles of the main histogram.
func latencyChart(r *Result, series []Second) (*plot.Plot, error) {
	p := newChart(timeLabel, "time ("+r.Main+")")
	for i, l := range []struct {
		name string
		at   float64
	}{{"max", 100}, {"p99", 99}, {"p50", 50}} {
		points := r.overTime(series, func(s *Second) float64 {
			h := s.Histograms[r.Main]
			if h == nil || h.TotalCount() == 0 {
				return math.NaN()
			}
			return float64(max(h.ValueAtPercentile(l.at), 1)) / 1e9
		})
		if err := addLine(p, l.name, points, []color.RGBA{failedColor, palette[1], palette[0]}[i]); err != nil {
			return nil, err
		}
	}
	logDurations(p)
	return p, nil
}

// percentileChart shows the histograms with the rare at the right: each step of one is ten times as rare.
func percentileChart(r *Result) (*plot.Plot, error) {
	p := newChart("percentile", "time")
	for i, name := range HistogramNames(r.Histograms, r.Main) {
		h := r.Histograms[name]
		if err := addLine(p, name, percentilePoints(h), palette[i%len(palette)]); err != nil {
			return nil, err
		}
	}
	p.X.Min, p.X.Max = 0, max(p.X.Max, 2)
	p.Legend.Top, p.Legend.Left, p.Legend.XOffs, p.Legend.YOffs = false, false, -8, 4 // where the rare, which are large, leave room
	p.X.Tick.Marker = percentileTicks{}
	logDurations(p)
	return p, nil
}

// percentilePoints are those of a histogram; the last value stands at the share of one among all.
func percentilePoints(h *Histogram) (points plotter.XYs) {
	total := float64(h.TotalCount())
	if total == 0 {
		return nil
	}
	var below float64
	for value, count := range h.ForEachBucket {
		x := rarity(below / total)
		below += float64(count)
		y := math.Max(float64(value), 1) / 1e9
		if n := len(points); n > 0 && x-points[n-1].X < 0.001 {
			points[n-1].Y = y
		} else {
			points = append(points, plotter.XY{X: x, Y: y})
		}
	}
	last := points[len(points)-1]
	return append(points, plotter.XY{X: math.Max(rarity(1-0.5/total), last.X), Y: last.Y})
}

// rarity turns a share of the values into a place on the axis: 0.9 is 1, 0.99 is 2.
func rarity(share float64) float64 { return -math.Log10(math.Max(1-share, 1e-18)) }

// errorChart shows the failures by kind.
func errorChart(r *Result, series []Second) (*plot.Plot, error) {
	p := newChart(timeLabel, "failures per second")
	p.Y.Min = 0
	p.Y.Tick.Marker = plainTicks{}
	for i, kind := range byCount(r.Errors) {
		if r.Errors[kind] == 0 || i == len(palette) {
			break
		}
		points := r.overTime(series, func(s *Second) float64 { return rate(s.Errors[kind], s.Span) })
		if err := addLine(p, kind, points, palette[(i+5)%len(palette)]); err != nil {
			return nil, err
		}
	}
	p.Y.Max = p.Y.Max*1.25 + 1
	return p, nil
}

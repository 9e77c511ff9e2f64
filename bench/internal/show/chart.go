package show

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// Sizes of the chart.
const (
	panelWidth  = 12 * vg.Centimeter
	panelHeight = 6 * vg.Centimeter
	barWidth    = 14 * vg.Length(1)
)

var (
	oursColor  = color.RGBA{R: 0x1b, G: 0x6c, B: 0xa8, A: 0xff}
	peerColor  = color.RGBA{R: 0xb8, G: 0xc4, B: 0xce, A: 0xff}
	whiskColor = color.RGBA{R: 0x33, G: 0x33, B: 0x33, A: 0xff}
)

// ErrNothing means that a report has nothing that could be drawn.
var ErrNothing = errors.New("show: nothing was measured, so there is nothing to draw")

// Chart writes an SVG with a panel for each benchmark: a bar for each side, with whiskers from the least to the greatest repeat.
func Chart(path string, r *result.Report) error {
	var panels []*plot.Plot
	for _, b := range r.Benchmarks {
		p, err := panel(b)
		if err != nil {
			return fmt.Errorf("show: draw %s: %w", b.Name, err)
		}
		if p != nil {
			panels = append(panels, p)
		}
	}
	if len(panels) == 0 {
		return ErrNothing
	}
	cols := min(2, len(panels))
	rows := (len(panels) + cols - 1) / cols
	svg := vgsvg.New(vg.Length(cols)*panelWidth, vg.Length(rows)*panelHeight)
	drawPanels(svg, panels, rows, cols)
	return save(path, svg)
}

func drawPanels(to vg.CanvasSizer, panels []*plot.Plot, rows, cols int) {
	grid := make([][]*plot.Plot, rows)
	for i := range grid {
		grid[i] = make([]*plot.Plot, cols)
		copy(grid[i], panels[i*cols:min(len(panels), (i+1)*cols)])
	}
	canvas := newCanvas(to)
	gap := 10 * vg.Length(1)
	tiles := draw.Tiles{Rows: rows, Cols: cols, PadX: gap, PadY: gap, PadTop: gap, PadBottom: gap, PadLeft: gap, PadRight: 2 * gap}
	for y, row := range plot.Align(grid, tiles, canvas) {
		for x, c := range row {
			if grid[y][x] != nil {
				grid[y][x].Draw(c)
			}
		}
	}
}

func newCanvas(to vg.CanvasSizer) draw.Canvas {
	canvas := draw.New(to)
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Path())
	return canvas
}

// panelHeightOf leaves a bar room enough.
func panelHeightOf(b *result.Benchmark) vg.Length {
	n := 0
	for _, s := range b.Sides {
		if s.Value.N > 0 {
			n++
		}
	}
	return 30 + vg.Length(n)*(barWidth+8)
}

// svgBytes is the file. Whoever looks at it may lack the font whose widths the layout is made for; the others have the same ones.
func svgBytes(svg *vgsvg.Canvas) ([]byte, error) {
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("show: make the chart: %w", err)
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Serif"),
		[]byte("font-family:'Liberation Serif',Tinos,'Times New Roman',Times,serif")), nil
}

func save(path string, svg *vgsvg.Canvas) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("show: make the chart's directory: %w", err)
	}
	out, err := svgBytes(svg)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		return fmt.Errorf("show: write the chart: %w", err)
	}
	return nil
}

// panel draws one benchmark, or nothing if it has no values.
func panel(b *result.Benchmark) (*plot.Plot, error) {
	var sides []*result.Side
	for i := len(b.Sides) - 1; i >= 0; i-- { // the first side is to be at the top
		if b.Sides[i].Value.N > 0 {
			sides = append(sides, b.Sides[i])
		}
	}
	if len(sides) == 0 {
		return nil, nil
	}
	p := plot.New()
	p.Title.Padding = 6
	p.Title.TextStyle.Font.Size = 10
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = 9, 9
	p.Title.Text = b.Title + ", " + b.Unit
	if b.Lower {
		p.Title.Text += " (less is better)"
	}
	p.X.Min = 0
	names := make([]string, len(sides))
	for i, s := range sides {
		names[i] = s.Name + "      " // room for a wider font where the one of the layout is missing
		if err := bar(p, b, s, i, len(sides)); err != nil {
			return nil, err
		}
	}
	p.NominalY(names...)
	p.X.Tick.Marker = ticks{}
	for _, s := range sides {
		p.X.Max = max(p.X.Max, s.Value.Max*1.2) // room for the number behind the bar
	}
	return p, nil
}

func bar(p *plot.Plot, b *result.Benchmark, s *result.Side, at, n int) error {
	values := make(plotter.Values, n)
	values[at] = s.Value.Median
	bars, err := plotter.NewBarChart(values, barWidth)
	if err != nil {
		return err
	}
	bars.Horizontal, bars.LineStyle.Width, bars.Color = true, 0, peerColor
	if s.Name == b.Ours {
		bars.Color = oursColor
	}
	whiskers, err := plotter.NewXErrorBars(whisker{s.Value, float64(at)})
	if err != nil {
		return err
	}
	whiskers.Color = whiskColor
	labels, err := plotter.NewLabels(plotter.XYLabels{
		XYs: plotter.XYs{{X: s.Value.Max, Y: float64(at)}}, Labels: []string{" " + number(s.Value.Median)},
	})
	if err != nil {
		return err
	}
	labels.TextStyle[0].YAlign = draw.YCenter
	labels.TextStyle[0].Font.Size = 9
	p.Add(bars, whiskers, labels)
	return nil
}

// whisker is one side's extremes, as plotter wants them.
type whisker struct {
	value result.Summary
	at    float64
}

func (w whisker) Len() int              { return 1 }
func (w whisker) XY(int) (x, y float64) { return w.value.Median, w.at }
func (w whisker) XError(int) (low, high float64) {
	return w.value.Median - w.value.Min, w.value.Max - w.value.Median
}

// ticks are those of gonum with numbers as in the table.
type ticks struct{}

func (ticks) Ticks(low, high float64) []plot.Tick {
	t := plot.DefaultTicks{}.Ticks(low, high)
	for i := range t {
		if t[i].Label != "" {
			v := t[i].Value
			t[i].Label = number(v)
			if v == math.Trunc(v) && math.Abs(v) < 1000 {
				t[i].Label = fmt.Sprintf("%.0f", v)
			}
		}
	}
	return t
}

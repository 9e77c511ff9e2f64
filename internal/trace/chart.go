package trace

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// maxPoints bounds the memory of a chart: of more points every other one is given up, again and again.
const maxPoints = 1 << 14

// Chart draws the window, what is in flight and the round-trip time of one connection over time, with a mark for each loss.
type Chart struct {
	conn   int    // the first that there was
	flow   string //
	points []point
	losses []point
	step   int // of so many events one is a point
	seen   int
}

type point struct{ t, cwnd, inFlight, ssthresh, srtt float64 }

// Add takes an event. Those of other connections than the first are not drawn.
func (c *Chart) Add(e *Event) {
	if c.conn == 0 {
		c.conn, c.step = e.Conn, 1
	}
	if e.Conn == c.conn && e.Flow != "" { // it comes first, before the handshake
		c.flow = e.Flow
	}
	if e.Conn != c.conn || e.MSS == 0 || e.Kind == "end" {
		return
	}
	p := point{e.Time, float64(e.CWnd) / 1e3, float64(e.InFlight) / 1e3, float64(e.SSThresh) / 1e3, e.SRTT * 1e3}
	if e.Loss() && len(c.losses) < maxPoints {
		c.losses = append(c.losses, p)
	}
	if c.seen++; c.seen%c.step != 0 {
		return
	}
	if c.points = append(c.points, p); len(c.points) >= maxPoints {
		for i := range maxPoints / 2 {
			c.points[i] = c.points[2*i]
		}
		c.points, c.step = c.points[:maxPoints/2], 2*c.step
	}
}

var (
	blue   = color.RGBA{R: 0x1b, G: 0x6c, B: 0xa8, A: 0xff}
	orange = color.RGBA{R: 0xd9, G: 0x82, B: 0x2b, A: 0xff}
	grey   = color.RGBA{R: 0x8a, G: 0x94, B: 0x9e, A: 0xff}
	red    = color.RGBA{R: 0xb3, G: 0x26, B: 0x1e, A: 0xff}
	green  = color.RGBA{R: 0x2b, G: 0x7a, B: 0x3d, A: 0xff}
	rule   = color.RGBA{R: 0xe4, G: 0xe7, B: 0xea, A: 0xff}
)

// errEmpty means that there is nothing to draw.
var errEmpty = errors.New("trace: nothing happened that a chart could show")

// SVG writes the chart as an SVG image.
func (c *Chart) SVG(w io.Writer) error {
	if len(c.points) == 0 {
		return errEmpty
	}
	window := panel("", "kB")
	if err := errors.Join(
		line(window, "congestion window", c.points, blue, func(p point) float64 { return p.cwnd }),
		line(window, "ssthresh", c.points, grey, func(p point) float64 { return p.ssthresh }),
		line(window, "in flight", c.points, orange, func(p point) float64 { return p.inFlight }),
		c.marks(window),
	); err != nil {
		return err
	}
	rtt := panel("seconds since the trace began", "ms")
	if err := line(rtt, "smoothed round-trip time", c.points, green, func(p point) float64 { return p.srtt }); err != nil {
		return err
	}
	rtt.X.Min, rtt.X.Max = window.X.Min, window.X.Max
	window.Title.Text = c.flow
	canvas := vgsvg.New(24*vg.Centimeter, 14*vg.Centimeter)
	all := draw.New(canvas)
	const split = 5 * vg.Centimeter
	window.Draw(draw.Crop(all, 4, -10, split, -4))
	rtt.Draw(draw.Crop(all, 4, -10, 4, split-14*vg.Centimeter))
	_, err := canvas.WriteTo(w)
	return err
}

// HTML writes the chart as a page that needs nothing else.
func (c *Chart) HTML(w io.Writer) error {
	var svg bytes.Buffer
	if err := c.SVG(&svg); err != nil {
		return err
	}
	body := svg.Bytes()
	if i := bytes.Index(body, []byte("<svg")); i > 0 { // without the declaration of an XML document
		body = body[i:]
	}
	_, err := fmt.Fprintf(w, "<!doctype html>\n<meta charset=\"utf-8\">\n<title>%s</title>\n%s\n",
		html.EscapeString("trace of "+c.flow), body)
	return err
}

// panel makes an empty plot.
func panel(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 9}
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font,
		&p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		*f = sans
	}
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs, p.Legend.ThumbnailWidth = 8, -4, 14
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = rule, rule
	p.Add(grid)
	return p
}

// line draws a figure over time, where it is known.
func line(p *plot.Plot, name string, points []point, c color.Color, of func(point) float64) error {
	var xy plotter.XYs
	for _, q := range points {
		if y := of(q); y > 0 || name == "in flight" {
			xy = append(xy, plotter.XY{X: q.t, Y: y})
		}
	}
	if len(xy) == 0 {
		return nil
	}
	l, err := plotter.NewLine(xy)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	l.Color, l.Width = c, 1.2
	p.Add(l)
	p.Legend.Add(name, l)
	return nil
}

// marks draws the losses, at the window that they left.
func (c *Chart) marks(p *plot.Plot) error {
	if len(c.losses) == 0 {
		return nil
	}
	xy := make(plotter.XYs, len(c.losses))
	for i, q := range c.losses {
		xy[i] = plotter.XY{X: q.t, Y: q.cwnd}
	}
	s, err := plotter.NewScatter(xy)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	s.Shape, s.Color, s.Radius = draw.CrossGlyph{}, red, 3
	p.Add(s)
	p.Legend.Add("loss", s)
	return nil
}

package trace

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/guptarohit/asciigraph"
)

// Bounds of a chart of text, in characters. The axis and its numbers take about ten.
const (
	minColumns  = 40
	maxColumns  = 200
	axisColumns = 12
	windowRows  = 12
	rttRows     = 6
)

// Text writes the chart as lines of text of so many columns, with colors or without: the window above, with a cross below where there was a
// loss, and the round-trip time. A place in which nothing was told has what was told last.
func (c *Chart) Text(w io.Writer, columns int, colors bool) error {
	if len(c.points) == 0 {
		return errEmpty
	}
	n := min(max(columns, minColumns), maxColumns) - axisColumns
	first, last := c.points[0].t, c.points[len(c.points)-1].t
	place := func(t float64) int {
		if last <= first {
			return 0
		}
		return min(max(int((t-first)/(last-first)*float64(n)), 0), n-1)
	}
	spread := func(of func(point) float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = math.NaN()
		}
		for _, p := range c.points {
			if v := of(p); v > 0 {
				out[place(p.t)] = v
			}
		}
		for i := 1; i < n; i++ {
			if math.IsNaN(out[i]) {
				out[i] = out[i-1]
			}
		}
		return out
	}
	cwnd := spread(func(p point) float64 { return p.cwnd })
	threshold := spread(func(p point) float64 { return p.ssthresh })
	paint := func(all ...asciigraph.AnsiColor) asciigraph.Option {
		if !colors {
			all = make([]asciigraph.AnsiColor, len(all)) // the default
		}
		return asciigraph.SeriesColors(all...)
	}
	window := []string{"congestion window"}
	series := [][]float64{cwnd}
	if known(threshold) { // drawn first: the window covers it
		window, series = []string{"ssthresh", "congestion window"}, [][]float64{threshold, cwnd}
	}
	tints := []asciigraph.AnsiColor{asciigraph.DarkGray, asciigraph.Blue}[2-len(series):]
	above := asciigraph.PlotMany(series, asciigraph.Height(windowRows), asciigraph.LowerBound(0), asciigraph.Precision(0), paint(tints...),
		asciigraph.SeriesChars(charSets(len(series))...))
	fmt.Fprintf(w, "%s: %s, kB\n%s\n", c.flow, strings.Join(window, " (┄), "), above)
	if len(c.losses) > 0 {
		marks := []rune(strings.Repeat(" ", n))
		for _, l := range c.losses {
			marks[place(l.t)] = '×'
		}
		fmt.Fprintf(w, "%*s%s\n", axis(above), "lost", strings.TrimRight(string(marks), " "))
	}
	if srtt := spread(func(p point) float64 { return p.srtt }); known(srtt) {
		fmt.Fprintf(w, "\nsmoothed round-trip time, ms\n%s\n", asciigraph.Plot(srtt, asciigraph.Height(rttRows), asciigraph.LowerBound(0),
			asciigraph.Precision(2), paint(asciigraph.Green)))
	}
	_, err := fmt.Fprintf(w, "\n%.3f s to %.3f s since the trace began, %.3f s a column\n", first, last, (last-first)/float64(n))
	return err
}

// charSets has the threshold dotted, where there is one in front of the window.
func charSets(series int) []asciigraph.CharSet {
	return []asciigraph.CharSet{asciigraph.CreateCharSet("┄"), asciigraph.DefaultCharSet}[2-series:]
}

// known reports whether a series has any value.
func known(series []float64) bool {
	for _, v := range series {
		if !math.IsNaN(v) {
			return true
		}
	}
	return false
}

// axis returns how many characters are left of a plot's axis.
func axis(plot string) int {
	line, _, _ := strings.Cut(plot, "\n")
	for i, r := range []rune(line) {
		if r == '┤' || r == '┼' {
			return i
		}
	}
	return 0
}

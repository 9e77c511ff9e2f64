package report

import (
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
)

// plainTicks are those of gonum, whole numbers written as such and with thousands set apart.
type plainTicks struct{}

func (plainTicks) Ticks(low, high float64) []plot.Tick {
	t := plot.DefaultTicks{}.Ticks(low, high)
	for i := range t {
		if v := t[i].Value; t[i].Label != "" && v == math.Trunc(v) {
			t[i].Label = FormatCount(v)
		}
	}
	return t
}

// timeTicks are those of an axis of seconds: at most ten with labels, at multiples that people count in, one of them 0.
type timeTicks struct{}

func (timeTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	step := 0.1
	for _, s := range []float64{0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400} {
		if (high-low)/step <= 10 {
			break
		}
		step = s
	}
	step = max(step, math.Ceil((high-low)/10)) // whatever a file says
	for n := math.Ceil(low / step); n*step <= high; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: FormatCount(math.Round(n*step*10) / 10)})
	}
	return ticks
}

// durationTicks are powers of ten of a second, with those between where there is room.
type durationTicks struct{}

func (durationTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	few := high/low < 1000
	for e := int(math.Floor(math.Log10(low))); e <= int(math.Ceil(math.Log10(high))); e++ {
		for m := 1; m < 10; m++ {
			v := float64(m) * math.Pow(10, float64(e))
			if v < low*(1-1e-9) || v > high*(1+1e-9) {
				continue
			}
			tick := plot.Tick{Value: v}
			if m == 1 || few && (m == 2 || m == 5) {
				tick.Label = FormatDuration(time.Duration(math.Round(v * 1e9)))
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// percentileTicks are 0, 50, 90, 99, 99.9 and so on.
type percentileTicks struct{}

func (percentileTicks) Ticks(_, high float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 0, Label: "0"}, {Value: rarity(0.5), Label: "50"}}
	for n := 1; float64(n) <= high; n++ {
		percent := 100 * (1 - math.Pow(10, -float64(n)))
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: strconv.FormatFloat(percent, 'f', max(n-2, 0), 64)})
	}
	return ticks
}

// logDurations makes the vertical axis one of times on a logarithmic scale, from a value of the ticks to another.
func logDurations(p *plot.Plot) {
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = durationTicks{}
	if !(p.Y.Min > 0) || !(p.Y.Max < math.Inf(1)) || p.Y.Max < p.Y.Min { // nothing was drawn
		p.Y.Min, p.Y.Max = 1e-6, 1
	}
	p.Y.Min = roundDown125(p.Y.Min)
	p.Y.Max = roundUp125(p.Y.Max * 1.6) // room for the legend
}

// roundDown125 rounds down to 1, 2 or 5 times a power of ten.
func roundDown125(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{10, 5, 2} {
		if base*m <= v*(1+1e-9) {
			return base * m
		}
	}
	return base
}

// roundUp125 rounds up.
func roundUp125(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if base*m >= v*(1-1e-9) {
			return base * m
		}
	}
	return base * 10
}

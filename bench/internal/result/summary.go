package result

import (
	"math"
	"slices"
)

// Summary describes a set of repeats by its median and its extremes. With three to five repeats an interquartile range would say
// less than the extremes do.
type Summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Summarize describes values, NaNs left out. The Summary of nothing has N zero.
func Summarize(values []float64) Summary {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		return Summary{}
	}
	slices.Sort(v)
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return Summary{Median: m, Min: v[0], Max: v[len(v)-1], N: len(v)}
}

// Spread returns the distance of the extremes as a part of the median, 0 when that is 0.
func (s Summary) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.Max - s.Min) / math.Abs(s.Median)
}

// Ratio says how many times better ours is than the other, repeat by repeat. More is better, unless lower is set: then the
// ratio is that of the inverses. Either way a ratio above one means that ours is better. A pair with a value that is not positive
// is left out.
func Ratio(ours, other []float64, lower bool) Summary {
	var r []float64
	for i := range min(len(ours), len(other)) {
		a, b := ours[i], other[i]
		if !(a > 0) || !(b > 0) {
			continue
		}
		if lower {
			a, b = b, a
		}
		r = append(r, a/b)
	}
	return Summarize(r)
}

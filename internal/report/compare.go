package report

import (
	"fmt"
	"maps"
	"slices"
)

// Comparison is two results side by side.
type Comparison struct {
	Differs []string   `json:"differs,omitempty"` // what was not the same about the two runs
	Lines   []Compared `json:"lines"`
}

// Compared is one figure of both.
type Compared struct {
	Name string  `json:"name"`
	Unit string  `json:"unit"` // "/s", "%", "s" or none
	A    float64 `json:"a"`
	B    float64 `json:"b"`
}

// Compare puts two results of the same tool side by side.
func Compare(a, b *Result) (*Comparison, error) {
	if a.Tool != b.Tool || a.RateOf != b.RateOf {
		return nil, fmt.Errorf("a result of %s and one of %s cannot be compared", a.Tool, b.Tool)
	}
	c := &Comparison{}
	differ := func(what string, x, y any) {
		if x != y {
			c.Differs = append(c.Differs, fmt.Sprintf("%s: %v and %v", what, x, y))
		}
	}
	differ("version", a.Version, b.Version)
	differ("workers", len(a.Of), len(b.Of))
	differ("duration", FormatDuration(a.Duration), FormatDuration(b.Duration))
	if err := sameSetup(a.Setup, b.Setup); err != nil {
		for _, s := range slices.Concat(a.Setup, b.Setup) {
			if x, y := setting(a.Setup, s.Name), setting(b.Setup, s.Name); x != y && !slices.Contains(c.Differs, s.Name+": "+x+" and "+y) {
				differ(s.Name, x, y)
			}
		}
	}
	c.line(a.RateOf, "/s", a.Rate(a.RateOf), b.Rate(b.RateOf))
	c.line("errors", "%", a.ErrorShare()*100, b.ErrorShare()*100)
	c.line("processors used", "", a.processors(), b.processors())
	if x, y := a.perCPU(), b.perCPU(); x > 0 && y > 0 {
		c.line(a.RateOf+" per processor second", "", x, y)
	}
	for _, name := range HistogramNames(a.Histograms, a.Main) {
		x, y := a.Histograms[name], b.Histograms[name]
		if y == nil || x.TotalCount() == 0 || y.TotalCount() == 0 {
			continue
		}
		xs, ys := x.Values(), y.Values()
		c.line(name+" mean", "s", x.Mean()/1e9, y.Mean()/1e9)
		for i, p := range percentileNames {
			c.line(name+" "+p, "s", float64(xs[i])/1e9, float64(ys[i])/1e9)
		}
	}
	return c, nil
}

func (c *Comparison) line(name, unit string, a, b float64) {
	c.Lines = append(c.Lines, Compared{name, unit, a, b})
}

// processors returns how many processors were busy with it.
func (r *Result) processors() float64 {
	if r.Duration <= 0 {
		return 0
	}
	return r.CPU.Total().Seconds() / r.Duration.Seconds()
}

// perCPU returns how much was done in a processor second; 0 if none was counted.
func (r *Result) perCPU() float64 {
	if r.CPU.Total() <= 0 {
		return 0
	}
	return float64(r.Counters[r.RateOf]) / r.CPU.Total().Seconds()
}

// HistogramNames returns the names, the main one first.
func HistogramNames(all map[string]*Histogram, main string) []string {
	names := slices.Sorted(maps.Keys(all))
	if i := slices.Index(names, main); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, main)
	}
	return names
}

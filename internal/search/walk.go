package search

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// book has the trials of each load.
type book struct {
	entries []entry // by load
}

type entry struct {
	load   float64
	trials []Result
}

func (b *book) find(load float64) (int, bool) {
	return slices.BinarySearchFunc(b.entries, load, func(e entry, load float64) int { return cmp.Compare(e.load, load) })
}

func (b *book) trials(load float64) []Result {
	if i, ok := b.find(load); ok {
		return b.entries[i].trials
	}
	return nil
}

func (b *book) add(r Result) {
	i, ok := b.find(r.Load)
	if !ok {
		b.entries = slices.Insert(b.entries, i, entry{load: r.Load})
	}
	b.entries[i].trials = append(b.entries[i].trials, r)
}

// goodBelow returns the largest load below another that had a good trial and is not known to be too much, 0 if there is none.
func (b *book) goodBelow(load float64, g *Goal) float64 {
	i, _ := b.find(load)
	for i--; i >= 0; i-- {
		e := &b.entries[i]
		good := slices.ContainsFunc(e.trials, func(r Result) bool { return r.Loss <= g.Loss })
		if good && g.classify(e.trials) != upper {
			return e.load
		}
	}
	return 0
}

// walker chooses the loads of a step: first those that it was told of, then from the last one in the direction of the limit, with
// strides that grow as the square, and from where it has crossed the limit the (geometric) middle.
type walker struct {
	Range
	hints  []float64
	factor float64 // by which two loads differ that are a width apart

	stride  float64
	last    class // of the load before
	turned  bool  // the limit was crossed
	started bool
}

// next returns the load after one that was classified, between the bounds as they are, of which one may be missing (0).
func (w *walker) next(lo, hi float64) float64 {
	for len(w.hints) > 0 {
		h := w.hints[0]
		w.hints = w.hints[1:]
		if h >= w.Min && h > lo && (hi == 0 || h < hi) {
			w.started, w.turned, w.stride = false, false, w.factor
			return h
		}
	}
	if w.stride == 0 {
		w.stride = w.factor
	}
	stride := w.stride
	w.stride *= w.stride
	switch {
	case lo == 0 && hi == 0:
		return w.Max
	case hi == 0:
		return min(lo*stride, w.Max)
	case lo == 0:
		return max(hi/stride, w.Min)
	}
	middle := math.Sqrt(lo * hi)
	switch {
	case w.turned || w.last == undecided:
		return middle
	case w.last == lower:
		return min(lo*stride, middle)
	}
	return max(hi/stride, middle)
}

// saw tells how the last load was classified.
func (w *walker) saw(is class) {
	if w.started && is != w.last {
		w.turned = true
	}
	w.started, w.last = true, is
}

// remaining estimates how long the search goes on: with the loads that it takes from the present bounds, and three in each later
// step, all with as many trials as a vote usually takes.
func (c *controller) remaining(now *aim, g *Goal, lo, hi float64) time.Duration {
	const later, unknown = 3, 6
	loads := unknown
	if lo > 0 && hi > 0 {
		loads = max(halvings(lo, hi, g.Width), 1)
	}
	total := time.Duration(loads) * c.cost(g)
	for i := range c.aims {
		a := &c.aims[i]
		for k := a.at; k < len(a.steps); k++ {
			if a != now || k > a.at {
				total += later * c.cost(&a.steps[k])
			}
		}
	}
	return total
}

// cost is how long the trials of a load usually take together.
func (c *controller) cost(g *Goal) time.Duration {
	most := math.Ceil(float64(g.Sum) / float64(g.Final))
	n := math.Floor(most*max(g.Exceed, 1-g.Exceed)) + 1
	return time.Duration(min(n, most)) * (g.Final + c.wait())
}

// roundDuration makes a duration of a computed length readable: to three digits.
func roundDuration(ns float64) time.Duration {
	unit := math.Pow(10, math.Floor(math.Log10(ns))-2)
	return time.Duration(math.Round(ns/unit) * unit)
}

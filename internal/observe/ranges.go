package observe

import (
	"slices"

	"github.com/xdpstack/xdpstack/tcp"
)

// ranges is the part of a sequence space that arrived: all from begin to end, and runs after a hole.
type ranges struct {
	begin, end tcp.Seq
	runs       []run // sorted, none touches another or end
}

type run struct{ from, to tcp.Seq }

// broken reports whether there is a hole.
func (r *ranges) broken() bool { return len(r.runs) > 0 }

// add notes that [from, to) arrived.
func (r *ranges) add(from, to tcp.Seq) {
	if from.Greater(r.end) {
		r.insert(run{from, to})
		return
	}
	r.end = later(r.end, to)
	n := 0
	for n < len(r.runs) && r.runs[n].from.LessEq(r.end) {
		r.end = later(r.end, r.runs[n].to)
		n++
	}
	r.runs = slices.Delete(r.runs, 0, n)
}

// insert adds a run after the first hole, joined with those that it touches.
func (r *ranges) insert(a run) {
	i := 0
	for i < len(r.runs) && r.runs[i].to.Less(a.from) {
		i++
	}
	j := i
	for j < len(r.runs) && r.runs[j].from.LessEq(a.to) {
		if r.runs[j].from.Less(a.from) {
			a.from = r.runs[j].from
		}
		a.to = later(a.to, r.runs[j].to)
		j++
	}
	r.runs = slices.Replace(r.runs, i, j, a)
}

// has reports whether all of [from, to) arrived.
func (r *ranges) has(from, to tcp.Seq) bool {
	if to.LessEq(r.end) {
		return from.Greater(r.begin)
	}
	for _, a := range r.runs {
		if from.GreaterEq(a.from) && to.LessEq(a.to) {
			return true
		}
	}
	return false
}

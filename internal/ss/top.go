package ss

import (
	"container/heap"
	"slices"
	"strings"

	"github.com/xdpstack/xdpstack/stack"
)

// top keeps the first few connections in an order.
type top struct {
	number *number
	least  bool // the smallest come first
	limit  int
	heap   []ranked // the last of them on top
}

type ranked struct {
	rank int64
	conn stack.ConnInfo
}

func newTop(sort string, limit int) *top {
	name, least := strings.CutPrefix(sort, "-")
	return &top{number: findNumber(name), least: least, limit: limit}
}

// add takes a connection, and gives up the last one if there are too many.
func (t *top) add(c *stack.ConnInfo) {
	r := ranked{t.number.of(c), *c}
	if t.least {
		r.rank = -r.rank
	}
	switch {
	case len(t.heap) < t.limit:
		heap.Push(t, r)
	case r.rank > t.heap[0].rank:
		t.heap[0] = r
		heap.Fix(t, 0)
	}
}

// sorted returns what there is, in order.
func (t *top) sorted() []ranked {
	slices.SortFunc(t.heap, func(a, b ranked) int {
		switch {
		case a.rank != b.rank && a.rank > b.rank:
			return -1
		case a.rank != b.rank:
			return 1
		}
		return a.conn.Remote.Compare(b.conn.Remote)
	})
	return t.heap
}

func (t *top) Len() int           { return len(t.heap) }
func (t *top) Less(i, j int) bool { return t.heap[i].rank < t.heap[j].rank }
func (t *top) Swap(i, j int)      { t.heap[i], t.heap[j] = t.heap[j], t.heap[i] }
func (t *top) Push(x any)         { t.heap = append(t.heap, x.(ranked)) }
func (t *top) Pop() any           { x := t.heap[len(t.heap)-1]; t.heap = t.heap[:len(t.heap)-1]; return x }

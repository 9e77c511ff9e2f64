package service

import (
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// waiting are the connections of one shard whose answer has a time, the earliest first: a binary heap. Each connection has one answer
// at most, so it is bounded by them.
type waiting struct {
	heap []waiter
	seq  uint64
	dice dice
}

// waiter is one of them.
type waiter struct {
	due  clock.Time
	seq  uint64 // in which order those of the same time came
	conn *stack.Conn
	st   *httpConn
}

func (w *waiter) before(o *waiter) bool { return w.due < o.due || w.due == o.due && w.seq < o.seq }

// next is when the earliest is due.
func (w *waiting) next() clock.Time {
	if len(w.heap) == 0 {
		return clock.Never
	}
	return w.heap[0].due
}

// add has a connection wait.
func (w *waiting) add(due clock.Time, c *stack.Conn, st *httpConn) {
	w.seq++
	w.heap = append(w.heap, waiter{due, w.seq, c, st})
	w.up(len(w.heap) - 1)
}

// remove takes a connection out. It must be in.
func (w *waiting) remove(st *httpConn) {
	i, last := st.place-1, len(w.heap)-1
	st.place = 0
	if i != last {
		w.heap[i] = w.heap[last]
		w.heap[i].st.place = i + 1
	}
	w.heap[last] = waiter{}
	w.heap = w.heap[:last]
	if i != last {
		w.down(i)
		w.up(i)
	}
}

func (w *waiting) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if w.heap[parent].before(&w.heap[i]) {
			break
		}
		w.swap(i, parent)
		i = parent
	}
	w.heap[i].st.place = i + 1
}

func (w *waiting) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(w.heap) {
			break
		}
		if child+1 < len(w.heap) && w.heap[child+1].before(&w.heap[child]) {
			child++
		}
		if w.heap[i].before(&w.heap[child]) {
			break
		}
		w.swap(i, child)
		i = child
	}
	w.heap[i].st.place = i + 1
}

func (w *waiting) swap(i, j int) {
	w.heap[i], w.heap[j] = w.heap[j], w.heap[i]
	w.heap[i].st.place, w.heap[j].st.place = i+1, j+1
}

// OnTurns returns what each of n shards is to have as its OnTurn, set before a connection comes, so that answers are sent when their
// delay is over. It returns nil for a server that delays nothing, which needs none.
func (h *HTTP) OnTurns(n int) (turns []stack.OnTurn) {
	if h.delay.IsZero() {
		return nil
	}
	for i := range n {
		w := &waiting{dice: newDice(h.seed, i)}
		h.waiting = append(h.waiting, w)
		turns = append(turns, func(_ *stack.Shard, now clock.Time) clock.Time {
			h.release(w, now)
			return w.next()
		})
	}
	return turns
}

// release sends the answers that are due.
func (h *HTTP) release(w *waiting, now clock.Time) {
	for len(w.heap) > 0 && !w.heap[0].due.After(now) {
		first := w.heap[0]
		w.remove(first.st)
		h.Writable(first.conn)
	}
}

// later has an answer that is ready wait for its time, and reports whether it must.
func (h *HTTP) later(c *stack.Conn, st *httpConn) bool {
	w := h.waiting[c.Shard()]
	now := c.Now()
	due := h.delay.due(now, w.dice.roll(), &h.stall)
	if !due.After(now) {
		return false
	}
	w.add(due, c, st)
	return true
}

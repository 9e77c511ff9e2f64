package hop

import "github.com/xdpstack/xdpstack/internal/clock"

// waiting is a frame on its way.
type waiting struct {
	at    clock.Time // when it leaves
	seq   uint64     // among those that leave at the same time
	frame []byte
}

func (w *waiting) before(v *waiting) bool { return w.at < v.at || (w.at == v.at && w.seq < v.seq) }

// queue holds the frames on their way, a heap with the one that leaves next on top, and the memory for more.
type queue struct {
	heap []waiting
	free [][]byte
	seq  uint64
	room int // frames that may still be made
}

// buffer returns memory for a frame of n bytes, nil if as many are on their way as may be.
func (q *queue) buffer(n int) []byte {
	if last := len(q.free) - 1; last >= 0 {
		b := q.free[last]
		q.free = q.free[:last]
		return b[:n]
	}
	if q.room == 0 {
		return nil
	}
	q.room--
	return make([]byte, n, maxFrame)
}

func (q *queue) recycle(b []byte) { q.free = append(q.free, b) }

// next returns when the next frame leaves, clock.Never if there is none.
func (q *queue) next() clock.Time {
	if len(q.heap) == 0 {
		return clock.Never
	}
	return q.heap[0].at
}

func (q *queue) push(at clock.Time, frame []byte) {
	q.heap = append(q.heap, waiting{at: at, seq: q.seq, frame: frame})
	q.seq++
	h := q.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// pop takes the frame that leaves next.
func (q *queue) pop() []byte {
	h := q.heap
	top := h[0].frame
	last := len(h) - 1
	h[0], h[last] = h[last], waiting{}
	q.heap = h[:last]
	h = q.heap
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down < min(2*i+3, len(h)); down++ {
			if h[down].before(&h[least]) {
				least = down
			}
		}
		if least == i {
			return top
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

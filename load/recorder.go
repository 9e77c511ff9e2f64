package load

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// The range of the histograms: values are kept to a part in a thousand, and longer ones count as an hour.
const (
	lowestValue  = 1
	highestValue = int64(3600e9)
	valueDigits  = 3
)

// recorder is what one shard records. The shard fills one while the last is added up elsewhere: see [worker.handOver].
type recorder struct {
	Counts
	Histograms
}

func newRecorder() *recorder {
	r := &recorder{}
	for _, h := range r.all() {
		*h = hdrhistogram.New(lowestValue, highestValue, valueDigits)
	}
	return r
}

func (h *Histograms) all() [6]**hdrhistogram.Histogram {
	return [...]**hdrhistogram.Histogram{&h.Connect, &h.FirstByte, &h.Total, &h.ScheduleError, &h.Wait, &h.FailedAfter}
}

// reset empties it.
func (r *recorder) reset() {
	r.Counts = Counts{}
	for _, h := range r.all() {
		if (*h).TotalCount() > 0 {
			(*h).Reset()
		}
	}
}

// forget leaves nothing but what is known of connections, which are opened beforehand and serve more than the warm-up.
func (r *recorder) forget() {
	r.Counts = Counts{Connects: r.Connects}
	for _, h := range r.all() {
		if *h != r.Connect {
			(*h).Reset()
		}
	}
}

// clone returns a copy.
func (r *recorder) clone() *recorder {
	c := *r
	for _, h := range c.all() {
		*h = (*h).Clone()
	}
	return &c
}

// add adds what another has recorded.
func (r *recorder) add(o *recorder) {
	r.Counts.add(&o.Counts)
	others := o.all()
	for i, h := range r.all() {
		if (*others[i]).TotalCount() > 0 {
			(*h).Merge(*others[i])
		}
	}
}

// since records the time from one moment to another.
func since(h *hdrhistogram.Histogram, from, to clock.Time) {
	_ = h.RecordValue(min(max(int64(to-from), 0), highestValue)) // it is in the range
}

// times is a queue of moments, up to a bound.
type times struct {
	ring []clock.Time // its length is a power of two
	head int
	n    int
	max  int
}

// push appends a moment, and reports false if there is no room.
func (q *times) push(t clock.Time) bool {
	if q.n == q.max {
		return false
	}
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = t
	q.n++
	return true
}

// pushFront puts a moment before all others: its turn had come already. It is not bounded by max, but by what was under way.
func (q *times) pushFront(t clock.Time) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.ring[q.head] = t
	q.n++
}

func (q *times) grow() {
	bigger := make([]clock.Time, max(2*len(q.ring), 64))
	for i := range q.n {
		bigger[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = bigger, 0
}

// first returns the first moment of a queue that is not empty.
func (q *times) first() clock.Time { return q.ring[q.head] }

func (q *times) pop() clock.Time {
	t := q.ring[q.head]
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return t
}

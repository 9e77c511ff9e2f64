package metrics

import (
	"math/bits"
	"reflect"
	"time"
)

// Histogram counts durations by their size: bucket i has those of at most 2^i µs that are longer than bucket i-1's, the last one the rest.
// [Add] and [Sub] work on it as on other counters; Walk passes it over, since it is no single number. The zero Histogram is empty.
type Histogram struct {
	Buckets [histogramBuckets]uint64 `json:"buckets"`
	Sum     uint64                   `json:"sum"` // ns
}

// histogramBuckets reaches to 2^23 µs, which is 8.4 s, with one bucket for what is longer.
const histogramBuckets = 25

var histogramType = reflect.TypeFor[Histogram]()

// Observe counts a duration. One below 0 counts as 0.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.Buckets[min(bits.Len64(uint64(max(d-1, 0)/time.Microsecond)), histogramBuckets-1)]++
	h.Sum += uint64(d)
}

// Bound returns the longest duration that is in bucket i. The last one has no bound: 0.
func (h *Histogram) Bound(i int) time.Duration {
	if i >= histogramBuckets-1 {
		return 0
	}
	return time.Microsecond << i
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (n uint64) {
	for _, b := range h.Buckets {
		n += b
	}
	return n
}

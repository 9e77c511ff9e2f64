package metrics

import (
	"testing"
	"time"
)

func TestHistogramBuckets(t *testing.T) {
	for _, c := range []struct {
		d      time.Duration
		bucket int
	}{
		{-time.Second, 0}, {0, 0}, {1, 0}, {time.Microsecond, 0}, {time.Microsecond + 1, 1}, {2 * time.Microsecond, 1},
		{2*time.Microsecond + 1, 2}, {4 * time.Microsecond, 2}, {1024 * time.Microsecond, 10}, {1024*time.Microsecond + 1, 11},
		{1 << 23 * time.Microsecond, 23}, {1<<23*time.Microsecond + 1, 24}, {time.Hour, 24}, {1<<63 - 1, 24},
	} {
		var h Histogram
		h.Observe(c.d)
		if h.Buckets[c.bucket] != 1 || h.Count() != 1 || h.Sum != uint64(max(c.d, 0)) {
			t.Errorf("%v: %v, want it in bucket %d", c.d, h.Buckets, c.bucket)
		}
		if b := h.Bound(c.bucket); b != 0 && c.d > b || c.bucket > 0 && c.d <= h.Bound(c.bucket-1) {
			t.Errorf("%v is not within the bounds of bucket %d", c.d, c.bucket)
		}
	}
}

func TestHistogramIsCombinedAndNotWalked(t *testing.T) {
	type timed struct {
		Took  Histogram `help:"how long it took"`
		Count uint64
	}
	var a, b timed
	a.Took.Observe(time.Millisecond)
	a.Took.Observe(time.Second)
	b.Took.Observe(time.Second)
	if d := Sub(Add(a, b), b).Took; d != a.Took {
		t.Errorf("(a+b)-b = %+v", d)
	}
	Walk("", a, func(m Metric) {
		if m.Name != "count" {
			t.Errorf("walked %+v", m)
		}
	})
}

func TestHistogramDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package wheel

import (
	"fmt"
	"testing"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// BenchmarkSetLater is what a busy connection does with each acknowledgement.
func BenchmarkSetLater(b *testing.B) {
	b.ReportAllocs()
	w := New(1, 0)
	now := clock.Time(0)
	for b.Loop() {
		now++
		w.Set(0, now+200*ms)
	}
}

// BenchmarkSetEarlier relinks with each call.
func BenchmarkSetEarlier(b *testing.B) {
	b.ReportAllocs()
	w := New(1, 0)
	for b.Loop() {
		w.Set(0, 2000*ms)
		w.Set(0, 40*ms)
		w.Cancel(0)
	}
}

// BenchmarkAdvanceIdle is the cost of a turn of the shard in which nothing is due.
func BenchmarkAdvanceIdle(b *testing.B) {
	b.ReportAllocs()
	w := New(1, 0)
	w.Set(0, clock.Never-1)
	due := make([]uint32, 64)
	now := clock.Time(0)
	for b.Loop() {
		now++
		w.Advance(now, due)
	}
}

// BenchmarkFire is one node through its life: set, moved down, handed out, with many others in the wheel.
func BenchmarkFire(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			w := New(size, 0)
			for id := range size {
				w.Set(uint32(id), clock.Time(id%1000)*ms)
			}
			due := make([]uint32, 64)
			now := clock.Time(0)
			fired := 0
			for b.Loop() {
				now = max(now, w.Next())
				n := w.Advance(now, due)
				for _, id := range due[:n] {
					w.Set(id, now+1000*ms)
				}
				fired += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(fired), "ns/fire")
		})
	}
}

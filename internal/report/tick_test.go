package report

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// BenchmarkTick is what a second costs of a generator with six histograms that are as full as they get.
func BenchmarkTick(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	g := newGenerator()
	totals := g.now()
	totals.Histograms = make(map[string]*hdrhistogram.Histogram)
	more := func(n int) {
		for _, h := range totals.Histograms {
			for range n {
				if err := h.RecordValue(int64(1e5 * rng.ExpFloat64() * rng.ExpFloat64())); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	for _, name := range []string{"connect", "first_byte", "total", "wait", "schedule_error", "failed"} {
		totals.Histograms[name] = hdrhistogram.New(lowest, highest, digits)
	}
	more(1_000_000)
	r, now := NewRecorder(head(0, 1), began), began
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		r.Tick(now, totals)
		more(100)
	}
}

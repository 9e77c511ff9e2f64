package child

import (
	"math"
	"runtime/metrics"
	"sync"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// collector follows what the garbage collector does from a moment on.
type collector struct {
	mu      sync.Mutex
	samples []metrics.Sample
	cycles  uint64
	seconds float64
	pauses  []uint64 // counts of the histogram's buckets
}

// Places in the samples.
const (
	gcCycles = iota
	gcPauses
	gcHeap
	gcSeconds
)

func newCollector() *collector {
	c := &collector{samples: make([]metrics.Sample, 4)}
	c.samples[gcCycles].Name = "/gc/cycles/total:gc-cycles"
	c.samples[gcPauses].Name = "/sched/pauses/total/gc:seconds"
	c.samples[gcHeap].Name = "/gc/heap/live:bytes"
	c.samples[gcSeconds].Name = "/cpu/classes/gc/total:cpu-seconds"
	return c
}

// begin makes this the moment from which on everything is counted.
func (c *collector) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	metrics.Read(c.samples)
	c.cycles, c.seconds = c.samples[gcCycles].Value.Uint64(), c.samples[gcSeconds].Value.Float64()
	c.pauses = append(c.pauses[:0], c.samples[gcPauses].Value.Float64Histogram().Counts...)
}

// read returns what happened since the moment.
func (c *collector) read() *result.GC {
	c.mu.Lock()
	defer c.mu.Unlock()
	metrics.Read(c.samples)
	return &result.GC{
		Cycles:   c.samples[gcCycles].Value.Uint64() - c.cycles,
		PauseMax: longest(c.samples[gcPauses].Value.Float64Histogram(), c.pauses),
		Heap:     c.samples[gcHeap].Value.Uint64(),
		Seconds:  c.samples[gcSeconds].Value.Float64() - c.seconds,
	}
}

// longest returns the upper end of the last bucket that has more than it had.
func longest(h *metrics.Float64Histogram, before []uint64) float64 {
	for i := len(h.Counts) - 1; i >= 0; i-- {
		if i < len(before) && h.Counts[i] == before[i] || h.Counts[i] == 0 {
			continue
		}
		if top := h.Buckets[i+1]; !math.IsInf(top, 1) {
			return top
		}
		return h.Buckets[i]
	}
	return 0
}

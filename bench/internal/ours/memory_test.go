package ours

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/core/coretest"
)

func TestTarget(t *testing.T) {
	coretest.Run(t, func(w core.Work) (coretest.Target, error) { return NewMemory(w) })
}

func TestNoAllocationsAndNoLeak(t *testing.T) {
	for _, w := range core.Works {
		m, err := NewMemory(w)
		if err != nil {
			t.Fatal(err)
		}
		r, err := core.Run(m, w, 50*time.Millisecond, 100*time.Millisecond, func() error { return nil })
		if err != nil {
			t.Fatalf("%s: %v", w, err)
		}
		if m.lost > 0 || r.Allocs > 0.001 {
			t.Errorf("%s: %.4f allocations a segment or connection, %d frames without room", w, r.Allocs, m.lost)
		}
		if err := m.dev.pool.Check(); err != nil {
			t.Error(err)
		}
		m.Close()
	}
}

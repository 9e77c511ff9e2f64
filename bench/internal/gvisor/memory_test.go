package gvisor

import (
	"runtime"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/core"
)

func TestMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, w := range []core.Work{core.Receive, core.Send} {
		for _, o := range []MemoryOptions{{GRO: false}, {GRO: true}} {
			m, err := NewMemory(w, o)
			if err != nil {
				t.Fatal(err)
			}
			r, err := core.Run(m, w, 50*time.Millisecond, 200*time.Millisecond)
			m.Close()
			if err != nil {
				t.Fatalf("%s %+v: %v", w, o, err)
			}
			t.Logf("%s %+v: %.0f ns, %.2f allocations, %.0f bytes, %.2f frames a segment", w, o, r.Nanos, r.Allocs, r.Bytes, r.Frames)
		}
	}
}

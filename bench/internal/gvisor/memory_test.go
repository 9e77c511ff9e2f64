package gvisor

import (
	"runtime"
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/core/coretest"
)

func TestTarget(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, o := range map[string]MemoryOptions{"plain": {}, "GRO": {GRO: true}} {
		t.Run(name, func(t *testing.T) {
			coretest.Run(t, func(w core.Work) (coretest.Target, error) { return NewMemory(w, o) })
		})
	}
}

package scale_test

import (
	"os"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/gvisor"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/scale"
)

func nothing() error { return nil }

// TestHold holds some connections in both stacks in memory: each takes some memory, gVisor's more.
func TestHold(t *testing.T) {
	m, err := ours.NewMemory(core.Hold)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	mine, err := scale.Hold(m, 40_000, nothing)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gvisor.NewMemory(core.Hold, gvisor.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	theirs, err := scale.Hold(g, 3000, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if mine.Bytes < 100 || mine.Bytes > 1000 || mine.Parts["state"] < 100 || theirs.Bytes < 1000 {
		t.Errorf("a connection takes %+v, in gVisor %+v", mine, theirs)
	}
}

// TestScatter delivers segments to random connections, all of which are acknowledged in the end.
func TestScatter(t *testing.T) {
	m, err := ours.NewMemory(core.Hold)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	found, err := scale.Scatter(m, []int{1, 100, 2000}, 40*time.Millisecond, 40*time.Millisecond, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		if s.Segments == 0 || s.Nanos <= 0 {
			t.Errorf("%+v", s)
		}
	}
}

// TestHoldKernel holds some of the kernel's connections.
func TestHoldKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	h, err := scale.HoldKernel(3000, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if h.Bytes < 1000 || h.Bytes > 100_000 {
		t.Errorf("an end of a connection takes %+v", h)
	}
}

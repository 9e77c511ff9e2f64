package stack_test

import (
	"testing"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
)

func TestEveryCounterIsNamedAndExplained(t *testing.T) {
	seen := map[string]bool{}
	metrics.Walk("", stack.ShardStats{}, func(m metrics.Metric) {
		if m.Help == "" {
			t.Errorf("%s has no help text", m.Name)
		}
		if seen[m.Name] {
			t.Errorf("%s is the name of two counters", m.Name)
		}
		seen[m.Name] = true
	})
	if len(seen) < 50 {
		t.Errorf("only %d counters were found", len(seen))
	}
}

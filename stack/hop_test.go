package stack

import (
	"testing"

	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// openOverHop opens a stack that reaches the kernel over a path that treats packets badly in both directions.
func openOverHop(t *testing.T, imp impair.Config, cfg Config) (*Stack, *netlab.Lab, *hop.Hop) {
	t.Helper()
	l := netlab.ForTest(t, netlab.Config{Name: "hop", Hop: true})
	h := hop.ForTest(t, l.Hop.Do, hop.Config{A: l.Hop.Stack.Interface, B: l.Hop.Kernel.Interface, AB: imp, BA: imp, Seed: 1})
	cfg.Interface, cfg.Address = l.Stack.Interface, l.Stack.Address
	var s *Stack
	if err := l.Stack.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s, l, h
}

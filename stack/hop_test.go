package stack

import (
	"context"
	"testing"

	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// openOverHop opens a stack that reaches the kernel over a path that treats packets badly in both directions.
func openOverHop(t *testing.T, imp impair.Config, cfg Config) (*Stack, *netlab.Lab, *hop.Hop) {
	t.Helper()
	l := netlab.ForTest(t, netlab.Config{Name: "hop", Hop: true})
	var h *hop.Hop
	err := l.Hop.Do(func() (err error) {
		h, err = hop.Open(hop.Config{A: l.Hop.Stack.Interface, B: l.Hop.Kernel.Interface, AB: imp, BA: imp, Seed: 1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.Close()
	})
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

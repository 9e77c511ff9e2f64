package hop

import (
	"context"
	"testing"
)

// ForTest forwards until the test has ended. do runs a function in the network namespace that both interfaces are in.
func ForTest(t testing.TB, do func(func() error) error, cfg Config) *Hop {
	t.Helper()
	var h *Hop
	if err := do(func() (err error) { h, err = Open(cfg); return err }); err != nil {
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
	return h
}

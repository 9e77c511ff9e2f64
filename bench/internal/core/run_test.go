package core

import (
	"testing"
	"time"
)

func TestHarnessAlone(t *testing.T) {
	for _, w := range Works {
		t.Run(string(w), func(t *testing.T) {
			r, err := Run(NewHollow(w), w, time.Millisecond, 10*time.Millisecond, func() error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if r.Count == 0 || r.Nanos <= 0 {
				t.Fatalf("nothing measured: %+v", r)
			}
			if r.Allocs > 0.01 {
				t.Errorf("%.3f allocations per segment by the harness itself", r.Allocs)
			}
			t.Logf("%.1f ns a segment", r.Nanos)
		})
	}
}

// silent is a stack that never answers.
type silent struct{}

func (silent) Deliver(n int, next func([]byte) int) { next(make([]byte, 2048)) }
func (silent) Work(func([]byte, int))               {}
func (silent) Close()                               {}

func TestSilentStackIsAnError(t *testing.T) {
	if _, err := Run(silent{}, Receive, 0, time.Second, func() error { return nil }); err == nil {
		t.Error("no error from a stack that does nothing")
	}
}

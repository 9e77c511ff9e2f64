package stack

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

func TestTurning(t *testing.T) {
	s, _ := newPair(t, Config{})
	turning := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return s.Turning(ctx)
	}
	for range 3 {
		if err := turning(10 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	release, blocked := make(chan struct{}), make(chan struct{})
	go s.shards[0].call(func(*Shard) { close(blocked); <-release })
	<-blocked
	for range 3 { // and what was asked meanwhile does not pile up
		if err := turning(20 * time.Millisecond); err == nil {
			t.Error("a shard that is stuck seems to turn")
		}
	}
	close(release)
	if err := turning(10 * time.Second); err != nil {
		t.Errorf("after it was released: %v", err)
	}
	if n := s.shards[0].pulse.beats.Load(); n > 6 {
		t.Errorf("%d beats", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := turning(10 * time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

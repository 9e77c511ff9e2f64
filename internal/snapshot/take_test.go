package snapshot_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/internal/snapshot"
	"github.com/xdpstack/xdpstack/stack"
)

// What a look costs: the shard's part, and making metrics of what it told.
func BenchmarkTake(b *testing.B) {
	device, _, err := sim.Pipe(sim.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := stack.New(stack.Config{Address: netip.MustParsePrefix("10.1.0.1/24")}, device)
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer s.Close()
	b.Run("shard", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Report(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			if _, err := snapshot.Take(s, time.Unix(1, 0)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

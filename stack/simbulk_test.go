package stack_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// bulk is both ends of a connection on which one end sends without end and the other takes all.
type bulk struct {
	data     [32 << 10]byte
	sender   bool
	received int
}

func (b *bulk) Opened(c *stack.Conn) {
	if b.sender {
		b.Writable(c)
	}
}

func (b *bulk) Received(_ *stack.Conn, p []byte) { b.received += len(p) }

func (b *bulk) Writable(c *stack.Conn) {
	for b.sender && c.Write(b.data[:]) == len(b.data) {
	}
}

func (b *bulk) PeerClosed(*stack.Conn)    {}
func (b *bulk) Closed(*stack.Conn, error) {}

// bulkPair joins two stacks, opens connections between them, and returns a function that does a turn of both.
func bulkPair(tb testing.TB, conns int) (turn func(), receiver *bulk, stats func() stack.ShardStats) {
	tb.Helper()
	a, b, err := sim.Pipe(sim.Config{Frames: 16384})
	if err != nil {
		tb.Fatal(err)
	}
	newStack := func(p netip.Prefix, d *sim.Device) *stack.Stack {
		s, err := stack.New(stack.Config{Address: p, Seed: 1}, d)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = s.Close() })
		return s
	}
	client, server := newStack(clientPrefix, a), newStack(serverPrefix, b)
	now := clock.Time(time.Second)
	turn = func() {
		now = now.Add(20 * time.Microsecond)
		client.Shard(0).Step(now)
		server.Shard(0).Step(now)
	}
	turn()
	receiver = &bulk{}
	if _, err := server.Handle(":7", receiver); err != nil {
		tb.Fatal(err)
	}
	for range conns {
		if err := client.Connect(serverPort, &bulk{sender: true}); err != nil {
			tb.Fatal(err)
		}
	}
	stats = func() stack.ShardStats {
		r, err := server.Report()
		if err != nil {
			tb.Fatal(err)
		}
		return r[0].Stats
	}
	return turn, receiver, stats
}

// TestBulkDoesNotAllocate proves the claim of the whole path: write, segment, device, parse, deliver, acknowledge.
func TestBulkDoesNotAllocate(t *testing.T) {
	for _, conns := range []int{1, 50} {
		turn, receiver, stats := bulkPair(t, conns)
		for range 5000 { // windows open, tables grow
			turn()
		}
		before, bytes := stats().TCP.SegmentsIn, receiver.received
		if allocs := testing.AllocsPerRun(2000, turn); allocs != 0 {
			t.Errorf("%d connections: %v allocations in a turn of both stacks", conns, allocs)
		}
		if n, b := stats().TCP.SegmentsIn-before, receiver.received-bytes; n < 10_000 || b < 1000*int(n) {
			t.Errorf("%d connections: only %d segments with %d bytes", conns, n, b)
		}
	}
}

// BenchmarkBulk is the cost of a segment through two stacks: writing, sending, a copy for the wire, receiving, acknowledging, and
// taking the acknowledgement.
func BenchmarkBulk(b *testing.B) {
	for _, conns := range []int{1, 100} {
		b.Run(fmt.Sprintf("conns%d", conns), func(b *testing.B) {
			b.ReportAllocs()
			turn, receiver, stats := bulkPair(b, conns)
			for range 5000 {
				turn()
			}
			before, bytes := stats().TCP.SegmentsIn, receiver.received
			for b.Loop() {
				turn()
			}
			ns := float64(b.Elapsed().Nanoseconds())
			b.ReportMetric(ns/float64(stats().TCP.SegmentsIn-before), "ns/segment")
			b.ReportMetric(float64(receiver.received-bytes)*8/ns, "Gbit/s")
		})
	}
}

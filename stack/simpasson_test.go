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

// astray is a client that sends in bulk to a server of several queues, all of it to one where the connections are not.
type astray struct {
	net      *sim.Network
	server   *stack.Stack
	receiver *bulk
	steppers []sim.Stepper
	queue    int // where the client's packets go
}

func newAstray(tb testing.TB, conns int, cfg stack.Config) *astray {
	tb.Helper()
	w := &astray{net: sim.NewNetwork(1), receiver: &bulk{}}
	device := func(name string) *sim.Device {
		d, err := w.net.NewDevice(sim.Config{Name: name, Frames: 16384})
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
	clientDevice := device("client")
	var devices []stack.Device
	for q := range 2 {
		d := device(fmt.Sprint("server", q))
		devices = append(devices, queue{d})
		link, err := w.net.Link(clientDevice, d, sim.Impairment{Delay: 200 * time.Microsecond})
		if err != nil {
			tb.Fatal(err)
		}
		link.Filter = func(_ clock.Time, from *sim.Device, _ []byte) bool { return from != clientDevice || w.queue == q }
	}
	newStack := func(address string, devices ...stack.Device) *stack.Stack {
		c := cfg
		c.TCP.SendBuffer = 64 << 10 // the network takes its time with more
		c.Address, c.Seed = netip.MustParsePrefix(address), 1
		s, err := stack.New(c, devices...)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = s.Close() })
		for i := range s.Shards() {
			w.steppers = append(w.steppers, s.Shard(i))
		}
		return s
	}
	client := newStack("10.1.0.2/24", clientDevice)
	w.server = newStack("10.1.0.1/24", devices...)
	if _, err := w.server.Handle(":7", w.receiver); err != nil {
		tb.Fatal(err)
	}
	for range conns {
		if err := client.Connect(netip.MustParseAddrPort("10.1.0.1:7"), &bulk{sender: true}); err != nil {
			tb.Fatal(err)
		}
	}
	w.run(20 * time.Millisecond)
	w.queue = 1
	return w
}

func (w *astray) run(d time.Duration) { w.net.RunFor(d, w.steppers...) }

func (w *astray) stats(tb testing.TB, shard int) stack.ShardStats {
	r, err := w.server.Report()
	if err != nil {
		tb.Fatal(err)
	}
	return r[shard].Stats
}

// TestPassingOnDoesNotAllocate has all segments of bulk transfers go through a shard that has none of the connections.
func TestPassingOnDoesNotAllocate(t *testing.T) {
	for _, conns := range []int{1, 20} {
		w := newAstray(t, conns, stack.Config{})
		w.run(200 * time.Millisecond)
		before, bytes := w.stats(t, 1), w.receiver.received
		if allocs := testing.AllocsPerRun(100, func() { w.run(time.Millisecond) }); allocs != 0 {
			t.Errorf("%d connections: %v allocations in a millisecond", conns, allocs)
		}
		after := w.stats(t, 1)
		passed, got := after.PassedOn-before.PassedOn, w.receiver.received-bytes
		if passed < 1000 || got < 1000*int(passed) {
			t.Errorf("%d connections: %d segments passed on, %d bytes received", conns, passed, got)
		}
		if drops := after.Drop.PassOn + w.stats(t, 0).Drop.PassOn; drops != 0 {
			t.Errorf("%d connections: %d segments dropped on the way to the other shard", conns, drops)
		}
	}
}

// TestPassingOnThroughSmallQueue has more come than the queue between the shards holds: what does not fit is counted and comes again, and
// the transfer goes on.
func TestPassingOnThroughSmallQueue(t *testing.T) {
	w := newAstray(t, 10, stack.Config{PassRing: 8192, BatchSize: 256})
	w.run(time.Second)
	drops, got := w.stats(t, 1).Drop.PassOn, w.receiver.received
	if drops == 0 {
		t.Error("nothing was dropped: the test does not reach what it is for")
	}
	w.run(time.Second)
	if n := w.receiver.received - got; n < 1_000_000 {
		t.Errorf("%d bytes received in a second", n)
	}
}

// BenchmarkPassingOn is the cost of bulk that arrives where its connections are, and at another shard.
func BenchmarkPassingOn(b *testing.B) {
	for _, queue := range []int{0, 1} {
		b.Run([]string{"home", "astray"}[queue], func(b *testing.B) {
			b.ReportAllocs()
			w := newAstray(b, 20, stack.Config{})
			w.queue = queue
			w.run(200 * time.Millisecond)
			bytes := w.receiver.received
			for b.Loop() {
				w.run(time.Millisecond)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(w.receiver.received-bytes)*1460, "ns/segment")
		})
	}
}

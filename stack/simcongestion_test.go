package stack_test

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// flows counts, at the receiving end, what arrives on each of a number of connections, in the order in which they were opened.
type flows struct{ received []int }

func (f *flows) Opened(c *stack.Conn) {
	c.SetContext(len(f.received))
	f.received = append(f.received, 0)
}

func (f *flows) Received(c *stack.Conn, p []byte) { f.received[c.Context().(int)] += len(p) }
func (f *flows) Writable(*stack.Conn)             {}
func (f *flows) PeerClosed(*stack.Conn)           {}
func (f *flows) Closed(*stack.Conn, error)        {}

// bottleneck is a world whose client sends through a link with a rate, a round-trip time, and a queue of so many packets. The ACKs
// come back a little irregularly, as they do where there is other traffic; else it would be always the same flow that finds the queue full.
func bottleneck(t *testing.T, seed uint64, cfg tcp.Config, rate int64, rtt time.Duration, queue int) (*world, *flows) {
	t.Helper()
	w := newWorld(t, seed, settings{config: stack.Config{TCP: cfg}})
	w.link.Impair(w.client.dev, sim.Impairment{Delay: rtt / 2, Rate: rate, QueueLen: queue})
	w.link.Impair(w.server.dev, sim.Impairment{Delay: rtt / 2, Jitter: rtt / 50})
	f := &flows{}
	if _, err := w.server.Handle(":7", f); err != nil {
		t.Fatal(err)
	}
	return w, f
}

// start opens a connection that sends without end.
func (w *world) start() {
	w.t.Helper()
	if err := w.client.Connect(serverPort, &bulk{sender: true}); err != nil {
		w.t.Fatal(err)
	}
}

// jain is Jain's index of fairness: 1 if all have the same, 1/n if one has all.
func jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// TestFairness has flows that share a bottleneck get the same over a long time, though the later ones find it full.
func TestFairness(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("half an hour of virtual time is not short, and on one goroutine nothing can race")
	}
	for _, c := range []struct {
		name     string
		rate     int64
		rtt      time.Duration
		queue    int
		flows    int
		measured time.Duration
	}{
		{"small windows", 10e6, 20 * time.Millisecond, 30, 2, 5 * time.Minute},
		{"large windows", 40e6, 60 * time.Millisecond, 200, 2, 10 * time.Minute},
		{"short queue", 20e6, 60 * time.Millisecond, 40, 2, 5 * time.Minute},
		{"four flows", 20e6, 30 * time.Millisecond, 60, 4, 5 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, f := bottleneck(t, 1, tcp.Config{Congestion: "cubic"}, c.rate, c.rtt, c.queue)
			for range c.flows {
				w.start()
				w.runFor(3 * time.Second)
			}
			w.runFor(30 * time.Second) // they find their shares
			before := append([]int(nil), f.received...)
			w.runFor(c.measured)
			shares, total := make([]float64, c.flows), 0.0
			for i := range shares {
				shares[i] = float64(f.received[i]-before[i]) * 8 / c.measured.Seconds() / float64(c.rate)
				total += shares[i]
			}
			t.Logf("shares of the rate: %.3f, together %.3f; Jain's index %.4f", shares, total, jain(shares))
			if jain(shares) < 0.98 {
				t.Error("not fair")
			}
			if total < 0.9 { // 0.956 is all that headers leave
				t.Error("the bottleneck is not used")
			}
		})
	}
}

// TestHyStartSparesTheQueue has a connection that opens find the path's capacity without overrunning its queue.
func TestHyStartSparesTheQueue(t *testing.T) {
	open := func(congestion string) (lost uint64, share float64) {
		const rate, measured = 5e6, 5 * time.Second
		w, f := bottleneck(t, 1, tcp.Config{Congestion: congestion}, rate, 60*time.Millisecond, 300)
		w.start()
		w.runFor(measured)
		return w.link.Stats(w.client.dev).QueueFull, float64(f.received[0]) * 8 / measured.Seconds() / rate
	}
	lost, share := open("cubic")
	overrun, most := open("newreno")
	t.Logf("%d packets lost and %.3f of the rate reached with HyStart++, %d and %.3f without", lost, share, overrun, most)
	if lost != 0 {
		t.Errorf("%d packets lost in the first seconds", lost)
	}
	if overrun < 100 {
		t.Error("without it slow start does no harm here either: this test shows nothing")
	}
	if share < 0.95*most {
		t.Errorf("only %.3f of the rate, %.3f without", share, most)
	}
}

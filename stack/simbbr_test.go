package stack_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// chosen sends without end by a congestion control of its own.
type chosen struct {
	bulk
	congestion string
	conn       *stack.Conn
}

func (c *chosen) Opened(s *stack.Conn) {
	if err := s.SetCongestion(c.congestion); err != nil {
		panic(err)
	}
	c.conn = s
	c.bulk.Opened(s)
}

// startWith opens a connection that sends without end with that congestion control.
func (w *world) startWith(congestion string) *chosen {
	w.t.Helper()
	c := &chosen{bulk: bulk{sender: true}, congestion: congestion}
	if err := w.client.Connect(serverPort, c); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// path is a bottleneck: bits per second, a round trip, a queue of so many packets.
type path struct {
	rate  float64
	rtt   time.Duration
	queue int
	loss  float64
}

// bdp returns the bandwidth-delay product, packets of 1,500 bytes.
func (p path) bdp() float64 { return p.rate / 8 * p.rtt.Seconds() / 1500 }

func (p path) String() string {
	return fmt.Sprintf("%g Mbit/s %v queue %d loss %g%%", p.rate/1e6, p.rtt, p.queue, 100*p.loss)
}

func (p path) world(t *testing.T, cfg tcp.Config) (*world, *flows) {
	w, f := bottleneck(t, 1, cfg, int64(p.rate), p.rtt, p.queue)
	w.link.Impair(w.client.dev, sim.Impairment{Delay: p.rtt / 2, Rate: int64(p.rate), QueueLen: p.queue, Loss: p.loss})
	return w, f
}

// share returns which part of the rate arrives as payload while the world runs for so long. 0.949 is what headers leave.
func share(w *world, f *flows, flow int, rate float64, d time.Duration) float64 {
	before := f.received[flow]
	w.runFor(d)
	return float64(f.received[flow]-before) * 8 / d.Seconds() / rate
}

// TestBBRFillsThePath has BBR use all of a path whose queue holds much less than its bandwidth-delay product, or, under random loss
// that tells CUBIC to all but stop, nearly all.
func TestBBRFillsThePath(t *testing.T) {
	for _, c := range []struct {
		path
		want float64
	}{
		{path{10e6, 10 * time.Millisecond, 8, 0}, 0.9},
		{path{10e6, 100 * time.Millisecond, 30, 0}, 0.9},
		{path{100e6, 10 * time.Millisecond, 40, 0}, 0.9},
		{path{100e6, 200 * time.Microsecond, 40, 0}, 0.9}, // shorter than the tick of the shards' timers
		{path{10e6, 40 * time.Millisecond, 50, 0.01}, 0.85},
		{path{10e6, 40 * time.Millisecond, 50, 0.05}, 0.8},
	} {
		t.Run(c.String(), func(t *testing.T) {
			w, f := c.world(t, tcp.Config{})
			s := w.startWith("bbr")
			w.runFor(2 * time.Second)
			got := share(w, f, 0, c.rate, 3*time.Second)
			i := s.conn.Info()
			t.Logf("%.3f of the rate; window %.1f and in flight %.1f of the product, paced at %.3f, srtt %v of at least %v", got,
				float64(i.CWnd)/1448/c.bdp(), float64(i.InFlight)/1448/c.bdp(), float64(i.PacingRate)*8/c.rate, i.RTT, i.MinRTT)
			if got < c.want {
				t.Errorf("%.3f of the rate, want %.2f", got, c.want)
			}
		})
	}
}

// TestBBRKeepsTheQueueShort has BBR keep no more than about the bandwidth-delay product in a queue that has room for ten of them, which
// CUBIC fills: the round-trip time stays below three times the path's.
func TestBBRKeepsTheQueueShort(t *testing.T) {
	standing := func(congestion string) time.Duration {
		p := path{rate: 10e6, rtt: 40 * time.Millisecond, queue: 330}
		w, _ := p.world(t, tcp.Config{})
		s := w.startWith(congestion)
		w.runFor(3 * time.Second)
		sum, n := time.Duration(0), 0
		for ; n < 20; n++ {
			w.runFor(100 * time.Millisecond)
			sum += s.conn.Info().RTT
		}
		return sum / time.Duration(n)
	}
	bbr, reno := standing("bbr"), standing("newreno")
	t.Logf("round trips of %v on the average, %v with NewReno", bbr, reno)
	if bbr > 80*time.Millisecond {
		t.Error("the queue stands")
	}
	if reno < 2*bbr {
		t.Error("NewReno's does not either: this test shows nothing")
	}
}

// TestBBRShares has two BBR flows come to share a path, the second of which found it full.
func TestBBRShares(t *testing.T) {
	p := path{rate: 20e6, rtt: 20 * time.Millisecond, queue: 60}
	w, f := p.world(t, tcp.Config{})
	w.startWith("bbr")
	w.runFor(2 * time.Second)
	w.startWith("bbr")
	w.runFor(15 * time.Second) // until both have probed for the round-trip time
	before := append([]int(nil), f.received...)
	const measured = 20 * time.Second
	w.runFor(measured)
	shares, total := make([]float64, 2), 0.0
	for i := range shares {
		shares[i] = float64(f.received[i]-before[i]) * 8 / measured.Seconds() / p.rate
		total += shares[i]
	}
	t.Logf("shares of the rate: %.3f, together %.3f; Jain's index %.4f", shares, total, jain(shares))
	if jain(shares) < 0.9 {
		t.Error("not fair")
	}
	if total < 0.9 {
		t.Error("the bottleneck is not used")
	}
}

package stack_test

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
)

// TestBlackHole has a path lose packets above a size without a word, from the beginning or from some moment on: everything arrives,
// and at last in segments that are nearly as large as the path takes.
func TestBlackHole(t *testing.T) {
	forSeeds(t, 8, func(t *testing.T, seed uint64) {
		w := newWorld(t, seed, settings{link: sim.Impairment{Delay: 5 * time.Millisecond, Rate: 50e6, QueueLen: 60}})
		passes := 600 + int(seed*997%850) // bytes of IP
		from := w.net.Now().Add(time.Duration(seed%3) * 100 * time.Millisecond)
		w.link.Filter = func(now clock.Time, _ *sim.Device, b []byte) bool { return now < from || len(b) <= 14+passes }
		server := newEndpoint(seed, 1000)
		w.serve(func() *endpoint { return server })
		client := newEndpoint(seed+1, 12<<20)
		mss := uint16(0)
		server.onData = func(*stack.Conn) {
			if client.conn != nil {
				mss = client.conn.Info().SendMSS
			}
		}
		w.connect(client)
		w.until(10*time.Minute, "the exchange is over", func() bool { return done(client, server) })
		checkExchange(t, client, server)
		if largest := passes - 40 - 12; int(mss) > largest || int(mss) <= largest-8 {
			t.Errorf("the path takes packets of %d bytes: at last segments have %d, may have %d", passes, mss, largest)
		}
		w.settle()
	})
}

// TestFragmentationNeeded has a router say that a packet was too large, and what the next hop takes or not (RFC 1191).
func TestFragmentationNeeded(t *testing.T) {
	for _, c := range []struct{ mtu, want uint16 }{{1400, 1360}, {0, 1452}, {60, 1460}} {
		w := newWire(t, stack.Config{}, sim.Config{})
		h := &watcher{}
		w.open(h)
		h.conn.Write(make([]byte, 1460))
		w.run(time.Millisecond)
		m := ipv4.ICMP{Type: ipv4.ICMPUnreachable, Code: ipv4.CodeFragNeeded, Rest: uint32(c.mtu)}
		w.icmp(m, w.next())
		if got := h.conn.Info().SendMSS; got != c.want {
			t.Errorf("an MTU of %d: segments have %d bytes, want %d", c.mtu, got, c.want)
		}
	}
}

package stack_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// longFat is a world with a link of 100 Mbit/s and 100 ms between stacks with as many frames as AF_XDP's queues have by default.
func longFat(t *testing.T, cfg tcp.Config) (*world, *flows) {
	t.Helper()
	dev := sim.Config{Frames: 16384}
	w := newWorld(t, 1, settings{clientDev: dev, serverDev: dev, config: stack.Config{TCP: cfg}})
	for _, d := range []*sim.Device{w.client.dev, w.server.dev} {
		w.link.Impair(d, sim.Impairment{Delay: 50 * time.Millisecond, Rate: 100e6})
	}
	f := &flows{}
	if _, err := w.server.Handle(":7", f); err != nil {
		t.Fatal(err)
	}
	return w, f
}

// TestLongFatPath has one connection fill a path that holds 1.25 MB, without any tuning; with buffers of the size that they begin with
// it could not.
func TestLongFatPath(t *testing.T) {
	share := func(cfg tcp.Config) float64 {
		w, f := longFat(t, cfg)
		w.start()
		w.runFor(4 * time.Second)
		before := f.received[0]
		w.runFor(10 * time.Second)
		return float64(f.received[0]-before) * 8 / 10 / 100e6
	}
	tuned, small := share(tcp.Config{}), share(tcp.Config{RecvBuffer: 128 << 10})
	t.Logf("%.3f of the rate, %.3f with a receive buffer of 128 KiB", tuned, small)
	if tuned < 0.9 { // 0.956 is all that headers leave
		t.Error("the path is not filled")
	}
	if small > 0.2 {
		t.Error("it is filled without tuning, too: this test shows nothing")
	}
}

// talker sends a little when its connection opens, and keeps it.
type talker struct{ conns []*stack.Conn }

func (h *talker) Opened(c *stack.Conn) {
	h.conns = append(h.conns, c)
	c.Write(make([]byte, 10_000))
}
func (h *talker) Received(*stack.Conn, []byte) {}
func (h *talker) Writable(*stack.Conn)         {}
func (h *talker) PeerClosed(*stack.Conn)       {}
func (h *talker) Closed(*stack.Conn, error)    {}

// TestIdleConnectionsPromiseLittle opens a thousand connections that bring little: what their windows promise stays what they began with,
// and a connection that needs more gets it all the same.
func TestIdleConnectionsPromiseLittle(t *testing.T) {
	const conns = 1000
	w, f := longFat(t, tcp.Config{})
	server := &talker{}
	if _, err := w.server.Handle(":8", server); err != nil {
		t.Fatal(err)
	}
	for range conns {
		if err := w.client.Connect(netip.AddrPortFrom(serverPort.Addr(), 8), &talker{}); err != nil {
			t.Fatal(err)
		}
	}
	w.runFor(2 * time.Second)
	w.start()
	w.runFor(10 * time.Second)
	promised := 0
	for _, c := range server.conns {
		promised += int(c.Info().RecvWindow)
	}
	if len(server.conns) != conns || promised > conns*128<<10 {
		t.Errorf("%d connections promise %d bytes", len(server.conns), promised)
	}
	if share := float64(f.received[0]) * 8 / 10 / 100e6; share < 0.7 {
		t.Errorf("beside them one connection reaches %.3f of the rate", share)
	}
}

// fresh sends without end and notes how much of what it wrote waits at most.
type fresh struct {
	bulk
	most int
}

func (h *fresh) Writable(c *stack.Conn) {
	for c.Write(h.data[:]) > 0 {
	}
	h.most = max(h.most, c.Info().Unsent)
}

func (h *fresh) Opened(c *stack.Conn) { h.Writable(c) }

// TestNotSentLowat has a connection fill its path although next to nothing of what was written waits to be sent.
func TestNotSentLowat(t *testing.T) {
	const lowat = 16_000
	w, f := longFat(t, tcp.Config{NotSentLowat: lowat})
	h := &fresh{}
	if err := w.client.Connect(serverPort, h); err != nil {
		t.Fatal(err)
	}
	w.runFor(10 * time.Second)
	share := float64(f.received[0]) * 8 / 10 / 100e6
	t.Logf("%.3f of the rate, %d bytes waited at most", share, h.most)
	if share < 0.7 || h.most > lowat {
		t.Errorf("%.3f of the rate, %d bytes waited", share, h.most)
	}
}

package stack_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// restless is a client, and a server of several queues: each packet of the client arrives at whatever queue, and of the server's some
// are lost.
type restless struct {
	net            *sim.Network
	client, server *stack.Stack
	steppers       []sim.Stepper
}

func newRestless(t *testing.T, seed uint64, queues int) *restless {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 9))
	w := &restless{net: sim.NewNetwork(seed)}
	device := func(name string) *sim.Device {
		d, err := w.net.NewDevice(sim.Config{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	clientDevice := device("client")
	current := 0
	var devices []stack.Device
	for q := range queues {
		d := device("server")
		devices = append(devices, queue{d})
		link, err := w.net.Link(clientDevice, d, sim.Impairment{Delay: time.Duration(10+r.IntN(90)) * time.Microsecond})
		if err != nil {
			t.Fatal(err)
		}
		link.Filter = func(_ clock.Time, from *sim.Device, b []byte) bool {
			if from != clientDevice {
				return len(b) < 50 || r.IntN(3) != 0 // ARP passes
			}
			mine := current == q
			if q == queues-1 { // every link has seen the packet
				current = r.IntN(queues)
			}
			return mine
		}
	}
	var err error
	if w.server, err = stack.New(stack.Config{Address: netip.MustParsePrefix("10.1.0.1/24"), Seed: seed}, devices...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.server.Close() })
	if w.client, err = stack.New(stack.Config{Address: netip.MustParsePrefix("10.1.0.2/24"), Seed: seed + 1}, clientDevice); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.client.Close() })
	w.steppers = append(w.steppers, w.client.Shard(0))
	for i := range queues {
		w.steppers = append(w.steppers, w.server.Shard(i))
	}
	return w
}

// send opens connections that send a message each, and returns what came of them after a minute.
func (w *restless) send(t *testing.T, n int, message string) []*collector {
	t.Helper()
	conns := make([]*collector, n)
	for i := range conns {
		conns[i] = &collector{send: []byte(message)}
		if err := w.client.Connect(netip.MustParseAddrPort("10.1.0.1:7"), greeting{conns[i]}); err != nil {
			t.Fatal(err)
		}
	}
	w.net.RunFor(time.Minute, w.steppers...)
	return conns
}

// TestHandshakeMovesBetweenQueues has packets move from the SYN on, and SYNs be sent again: no shard resets a handshake that another has
// begun.
func TestHandshakeMovesBetweenQueues(t *testing.T) {
	forSeeds(t, 30, func(t *testing.T, seed uint64) {
		w := newRestless(t, seed, 3)
		if _, err := w.server.Handle(":7", echoer{}); err != nil {
			t.Fatal(err)
		}
		for i, c := range w.send(t, 20, "a message that is to come back") {
			if string(c.got) != "a message that is to come back" || c.closed {
				t.Errorf("connection %d: %q came back, closed %v, %v", i, c.got, c.closed, c.err)
			}
		}
	})
}

// closer is a server that answers and closes.
type closer struct{ echoer }

func (closer) Received(c *stack.Conn, p []byte) {
	c.Write(p)
	c.Close()
}

// TestTimeWaitMovesBetweenQueues has the server close first, and its last ACKs be lost: FINs that come again to another shard than that
// of the TIME-WAIT are acknowledged, not reset.
func TestTimeWaitMovesBetweenQueues(t *testing.T) {
	forSeeds(t, 30, func(t *testing.T, seed uint64) {
		w := newRestless(t, seed, 3)
		if _, err := w.server.Handle(":7", closer{}); err != nil {
			t.Fatal(err)
		}
		for i, c := range w.send(t, 20, "bye") {
			if string(c.got) != "bye" || !c.closed || c.err != nil {
				t.Errorf("connection %d: %q came back, closed %v, %v", i, c.got, c.closed, c.err)
			}
		}
		reports, err := w.server.Report()
		if err != nil {
			t.Fatal(err)
		}
		fins := uint64(0)
		for _, r := range reports {
			fins += r.Stats.TCP.TimeWait.Fins
			if n := r.Stats.TCP.Listen.UnexpectedAcks; n != 0 {
				t.Errorf("%d segments were reset", n)
			}
		}
		if fins == 0 {
			t.Error("no FIN came again")
		}
	})
}

// greeting is a collector that sends as soon as its connection is open.
type greeting struct{ *collector }

func (g greeting) Opened(c *stack.Conn) {
	g.collector.Opened(c)
	g.Writable(c)
}

// PeerClosed closes, too.
func (g greeting) PeerClosed(c *stack.Conn) { c.Close() }

package stack_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// TestHandshakeMovesBetweenQueues has each packet of a client arrive at whatever queue from the SYN on, and some of the answers lost, so
// that SYNs are sent again: no shard resets a handshake that another has begun.
func TestHandshakeMovesBetweenQueues(t *testing.T) {
	const queues = 3
	forSeeds(t, 30, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 9))
		net := sim.NewNetwork(seed)
		device := func(name string) *sim.Device {
			d, err := net.NewDevice(sim.Config{Name: name})
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
			link, err := net.Link(clientDevice, d, sim.Impairment{Delay: time.Duration(10+r.IntN(90)) * time.Microsecond})
			if err != nil {
				t.Fatal(err)
			}
			link.Filter = func(_ clock.Time, from *sim.Device, b []byte) bool {
				if from != clientDevice {
					return len(b) < 60 || r.IntN(3) != 0 // ARP passes
				}
				mine := current == q
				if q == queues-1 { // every link has seen the packet
					current = r.IntN(queues)
				}
				return mine
			}
		}
		server, err := stack.New(stack.Config{Address: netip.MustParsePrefix("10.1.0.1/24"), Seed: seed}, devices...)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		client, err := stack.New(stack.Config{Address: netip.MustParsePrefix("10.1.0.2/24"), Seed: seed + 1}, clientDevice)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		steppers := []sim.Stepper{client.Shard(0)}
		for i := range queues {
			steppers = append(steppers, server.Shard(i))
		}
		if _, err := server.Handle(":7", echoer{}); err != nil {
			t.Fatal(err)
		}
		conns := make([]*collector, 20)
		for i := range conns {
			conns[i] = &collector{send: []byte("a message that is to come back")}
			if err := client.Connect(netip.MustParseAddrPort("10.1.0.1:7"), greeting{conns[i]}); err != nil {
				t.Fatal(err)
			}
		}
		net.RunFor(time.Minute, steppers...)
		for i, c := range conns {
			if !bytes.Equal(c.got, []byte("a message that is to come back")) || c.closed {
				t.Errorf("seed %d: connection %d: %q came back, closed %v, %v", seed, i, c.got, c.closed, c.err)
			}
		}
	})
}

// greeting is a collector that sends as soon as its connection is open.
type greeting struct{ *collector }

func (g greeting) Opened(c *stack.Conn) {
	g.collector.Opened(c)
	g.Writable(c)
}

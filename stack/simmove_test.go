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
	"github.com/xdpstack/xdpstack/tcp"
)

// echoer sends back what it gets; the test sends little enough for the send buffer.
type echoer struct{}

func (echoer) Opened(*stack.Conn)               {}
func (echoer) Received(c *stack.Conn, p []byte) { c.Write(p) }
func (echoer) Writable(*stack.Conn)             {}
func (echoer) PeerClosed(c *stack.Conn)         { c.Close() }
func (echoer) Closed(*stack.Conn, error)        {}

// collector writes a message when its connection is open, and collects what comes back.
type collector struct {
	conn   *stack.Conn
	send   []byte
	got    []byte
	closed bool
	err    error
}

func (h *collector) Opened(c *stack.Conn)             { h.conn = c }
func (h *collector) Received(_ *stack.Conn, p []byte) { h.got = append(h.got, p...) }
func (h *collector) Writable(c *stack.Conn)           { h.send = h.send[c.Write(h.send):] }
func (h *collector) PeerClosed(*stack.Conn)           {}
func (h *collector) Closed(_ *stack.Conn, err error)  { h.closed, h.err = true, err }

// queue is a device that is one of several with the same address. The network, which knows another, sends to all of them.
type queue struct{ *sim.Device }

func (queue) HardwareAddr() [6]byte { return [6]byte{2, 5: 77} }

// TestConnectionMovesBetweenQueues has the packets of accepted connections arrive at whatever queue, as Linux sends them over veth after
// a retransmission timeout: the shard that has the connection gets them, with the marks of routers, and when it is over nothing of it
// stays.
func TestConnectionMovesBetweenQueues(t *testing.T) {
	const queues = 3
	forSeeds(t, 20, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 8))
		net := sim.NewNetwork(seed)
		device := func(c sim.Config) *sim.Device {
			d, err := net.NewDevice(c)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		clientDevice := device(sim.Config{Name: "client"})
		current := 0 // the queue that the client's packets go to now
		moving := false
		var devices []stack.Device
		var links []*sim.Link
		for q := range queues {
			d := device(sim.Config{Name: "server"})
			devices = append(devices, queue{d})
			link, err := net.Link(clientDevice, d, sim.Impairment{Delay: time.Duration(10+r.IntN(90)) * time.Microsecond})
			if err != nil {
				t.Fatal(err)
			}
			link.Impair(clientDevice, sim.Impairment{Delay: time.Duration(10+10*q) * time.Microsecond, Rate: 1e9, MarkAt: 3})
			links = append(links, link)
			link.Filter = func(_ clock.Time, from *sim.Device, b []byte) bool {
				if from != clientDevice {
					return true
				}
				mine := current == q
				if q == queues-1 && moving { // every link has seen the packet
					current = r.IntN(queues)
				}
				return mine
			}
		}
		server, err := stack.New(stack.Config{Address: netip.MustParsePrefix("10.1.0.1/24"), Seed: seed}, devices...)
		if err != nil {
			t.Fatal(err)
		}
		client, err := stack.New(stack.Config{
			Address: netip.MustParsePrefix("10.1.0.2/24"), Seed: seed + 1, TCP: tcp.Config{ECN: tcp.ECNOn},
		}, clientDevice)
		if err != nil {
			t.Fatal(err)
		}
		steppers := []sim.Stepper{client.Shard(0)}
		for i := range queues {
			steppers = append(steppers, server.Shard(i))
		}
		if _, err := server.Handle(":7", echoer{}); err != nil {
			t.Fatal(err)
		}
		message := make([]byte, 100_000)
		for i := range message {
			message[i] = byte(r.Uint32())
		}
		h := &collector{send: message}
		if err := client.Connect(netip.MustParseAddrPort("10.1.0.1:7"), h); err != nil {
			t.Fatal(err)
		}
		net.RunFor(10*time.Millisecond, steppers...)
		if h.conn == nil {
			t.Fatalf("seed %d: not connected: %v", seed, h.err)
		}
		moving = true
		h.Writable(h.conn)
		net.RunFor(10*time.Second, steppers...)
		if !bytes.Equal(h.got, message) || h.closed {
			t.Fatalf("seed %d: %d of %d bytes came back, closed %v, %v", seed, len(h.got), len(message), h.closed, h.err)
		}
		h.conn.Close()
		net.RunFor(10*time.Second, steppers...)
		reports, err := server.Report()
		if err != nil {
			t.Fatal(err)
		}
		passed, marks, copies := uint64(0), uint64(0), uint64(0)
		for _, link := range links {
			marks += link.Stats(clientDevice).Marked
		}
		all := marks
		for _, r := range reports {
			passed += r.Stats.PassedOn
			marks -= r.Stats.TCP.CEIn
			copies += r.Stats.TCP.DropDuplicate // Their marks do not count.
			if r.Connections != 0 || r.Frames.Held != 0 {
				t.Errorf("seed %d: %d connections and %d frames are left", seed, r.Connections, r.Frames.Held)
			}
		}
		if !h.closed || h.err != nil || passed < 20 {
			t.Errorf("seed %d: closed %v, %v; %d segments passed on", seed, h.closed, h.err, passed)
		}
		if all == 0 || marks > copies {
			t.Errorf("seed %d: %d marks of %d did not arrive", seed, int64(marks), all)
		}
		_ = server.Close()
		_ = client.Close()
	})
}

package stack_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
)

// chaotic is one end of a connection that writes, half-closes, closes, aborts and keeps buffers as the dice fall.
type chaotic struct {
	random   *rand.Rand
	conn     *stack.Conn
	sent     []byte
	received []byte
	held     []stack.Buffer

	wroteEnd, closed, aborted, over, opened, peerClosed bool
	err                                                 error
}

func (h *chaotic) Opened(c *stack.Conn) {
	h.conn, h.opened = c, true
	h.act()
}

func (h *chaotic) Received(c *stack.Conn, p []byte) {
	h.received = append(h.received, p...)
	if h.random.IntN(4) == 0 {
		h.held = append(h.held, c.Retain())
	}
	h.act()
}

func (h *chaotic) Writable(*stack.Conn) { h.act() }

func (h *chaotic) PeerClosed(*stack.Conn) {
	h.peerClosed = !h.closed && !h.aborted // what comes after either is not delivered, so the end says nothing then
	h.act()
}

func (h *chaotic) Closed(c *stack.Conn, err error) {
	h.release(c)
	h.over, h.err, h.conn = true, err, nil
}

func (h *chaotic) release(c *stack.Conn) {
	for _, b := range h.held {
		c.Release(b)
	}
	h.held = nil
}

// act does something, or nothing.
func (h *chaotic) act() {
	if h.conn == nil {
		return
	}
	switch r := h.random.IntN(100); {
	case r < 40:
		if !h.wroteEnd && !h.closed && !h.aborted {
			b := make([]byte, 1+h.random.IntN(1<<h.random.IntN(15)))
			for i := range b {
				b[i] = byte(h.random.Uint32())
			}
			h.sent = append(h.sent, b[:h.conn.Write(b)]...)
		}
	case r < 60:
		if len(h.held) > 0 {
			h.conn.Release(h.held[0])
			h.held = h.held[1:]
		}
	case r < 64:
		h.conn.CloseWrite()
		h.wroteEnd = true
	case r < 67:
		h.conn.Close()
		h.closed = true
	case r < 68:
		h.conn.Abort()
		h.aborted = true
	}
}

// lastAct ends what chance has left open.
func (h *chaotic) lastAct() {
	if h.conn == nil {
		return
	}
	h.release(h.conn)
	h.conn.Close()
	h.closed = true
}

// chaosServer makes a chaotic end for each connection.
type chaosServer struct{ open func(c *stack.Conn) *chaotic }

func (s *chaosServer) Opened(c *stack.Conn) {
	h := s.open(c)
	c.SetContext(h)
	h.Opened(c)
}
func (s *chaosServer) of(c *stack.Conn) *chaotic        { h, _ := c.Context().(*chaotic); return h }
func (s *chaosServer) Received(c *stack.Conn, p []byte) { s.of(c).Received(c, p) }
func (s *chaosServer) Writable(c *stack.Conn)           { s.of(c).Writable(c) }
func (s *chaosServer) PeerClosed(c *stack.Conn)         { s.of(c).PeerClosed(c) }
func (s *chaosServer) Closed(c *stack.Conn, err error) {
	if h := s.of(c); h != nil {
		h.Closed(c, err)
	}
}

// TestChaos lets connections over bad links do everything in any order. Whatever happens, what arrives is a beginning of what was
// sent, an end of data is reported only after all of it, everything comes to an end, and no frame is lost.
func TestChaos(t *testing.T) {
	forSeeds(t, 60, func(t *testing.T, seed uint64) { chaos(t, seed, devices) })
}

// TestLargeChaos is TestChaos with packets of several frames.
func TestLargeChaos(t *testing.T) {
	forSeeds(t, 20, func(t *testing.T, seed uint64) { chaos(t, seed, largeDevices) })
}

func chaos(t *testing.T, seed uint64, devices func(*rand.Rand) sim.Config) {
	r := rand.New(rand.NewPCG(seed, 4))
	w := newWorld(t, seed, settings{link: impairments(r), clientDev: devices(r), serverDev: devices(r)})
	var all []*chaotic
	clients, servers := map[uint16]*chaotic{}, map[uint16]*chaotic{} // by the client's port
	server := &chaosServer{open: func(c *stack.Conn) *chaotic {
		h := &chaotic{random: rand.New(rand.NewPCG(seed, uint64(len(all))+1000))}
		servers[c.RemoteAddr().Port()] = h
		all = append(all, h)
		return h
	}}
	if _, err := w.server.Handle(":7", server); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		h := &chaotic{random: rand.New(rand.NewPCG(seed, uint64(i)))}
		all = append(all, h)
		if err := w.client.Connect(serverPort, &chaosClient{h, clients}); err != nil {
			t.Fatal(err)
		}
	}
	for range 400 {
		w.runFor(time.Duration(r.IntN(100)) * time.Millisecond)
		all[r.IntN(len(all))].act()
	}
	for round := 0; round < 3; round++ { // a late handshake may still bring a new connection
		for _, h := range all {
			h.lastAct()
		}
		w.runFor(10 * time.Minute)
	}
	for _, h := range all {
		h.lastAct()
	}
	w.settle()
	for port, c := range clients {
		if s := servers[port]; s != nil {
			checkBeginning(t, "client to server", c, s)
			checkBeginning(t, "server to client", s, c)
		}
	}
}

// chaosClient notes the port of its connection.
type chaosClient struct {
	*chaotic
	ports map[uint16]*chaotic
}

func (h *chaosClient) Opened(c *stack.Conn) {
	h.ports[c.LocalAddr().Port()] = h.chaotic
	h.chaotic.Opened(c)
}

func checkBeginning(t *testing.T, what string, from, to *chaotic) {
	t.Helper()
	if !bytes.HasPrefix(from.sent, to.received) {
		t.Errorf("%s: the %d bytes received are not the beginning of the %d sent", what, len(to.received), len(from.sent))
	}
	if to.peerClosed && len(to.received) != len(from.sent) {
		t.Errorf("%s: the end of the data was reported after %d of %d bytes", what, len(to.received), len(from.sent))
	}
	if !from.over || !to.over {
		t.Errorf("%s: a connection was not reported as closed", what)
	}
}

// TestGarbage sends a running exchange's packets again with random damage and valid IP checksums, to both ends: nothing may break, and
// what arrives undamaged by its TCP checksum is what was sent.
func TestGarbage(t *testing.T) {
	forSeeds(t, 20, func(t *testing.T, seed uint64) { garbage(t, seed, sim.Config{}, 200_000) })
}

// TestLargeGarbage is TestGarbage with packets of several frames.
func TestLargeGarbage(t *testing.T) {
	forSeeds(t, 20, func(t *testing.T, seed uint64) {
		garbage(t, seed, sim.Config{MTU: largeMTUs[seed%3], FrameSize: 4096}, 2_000_000)
	})
}

func garbage(t *testing.T, seed uint64, dev sim.Config, size int) {
	w := newWorld(t, seed, settings{clientDev: dev, serverDev: dev})
	dev.Name = "noise"
	noise, err := w.net.NewDevice(dev)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*sim.Device{w.client.dev, w.server.dev} {
		if _, err := w.net.Link(noise, d, sim.Impairment{}); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(seed, 5))
	w.net.Tap = func(_ clock.Time, from, _ *sim.Device, b []byte) {
		if from != noise && b[12] == 0x08 && b[13] == 0 && r.IntN(2) == 0 {
			sendDamaged(noise, b, r)
		}
	}
	exchange(w, seed, size, size, time.Hour)
}

// sendDamaged sends a copy of a packet with some bytes changed and the IP header's checksum corrected.
func sendDamaged(d *sim.Device, b []byte, r *rand.Rand) {
	c := bytes.Clone(b[:len(b)-r.IntN(2)*r.IntN(len(b)-14)])
	for range 1 + r.IntN(8) {
		c[14+r.IntN(min(len(c)-14, 100+r.IntN(len(c))))] = byte(r.Uint32())
	}
	fixIPChecksum(c[14:])
	p := d.Pool()
	var frames []frame.Desc
	for len(c) > 0 {
		f := p.Alloc()
		if f == frame.None {
			break
		}
		n := copy(p.Chunk(f), c)
		c = c[n:]
		frames = append(frames, frame.Desc{Frame: f, Len: uint32(n), Mark: frame.Mark{More: len(c) > 0}})
	}
	if len(c) == 0 {
		d.Transmit(frames)
	}
	for _, f := range frames {
		p.Release(f.Frame)
	}
	_ = d.Flush()
	d.Recycle()
}

func fixIPChecksum(ip []byte) {
	if len(ip) < ipv4.MinHeaderLen {
		return
	}
	n := min(max(int(ip[0]&15)*4, ipv4.MinHeaderLen), len(ip)&^1)
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], checksum.Finish(checksum.Sum(ip[:n], 0)))
}

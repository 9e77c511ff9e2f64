package stack_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// wire is a stack whose peer is the test itself, packet by packet. The peer answers ARP for its own address.
type wire struct {
	t   *testing.T
	net *sim.Network
	*stack.Stack
	dev  *sim.Device // the peer's
	to   [6]byte     // the stack's hardware address
	mute bool        // the peer does not answer ARP
	arps int         // ARP requests for the peer
	in   []packet
}

// packet is a TCP segment that the stack has sent.
type packet struct {
	ip  ipv4.Header
	seg tcp.Segment
	raw []byte // header and payload of TCP
}

var (
	wireStack = netip.MustParsePrefix("10.0.0.1/24")
	wirePeer  = ipv4.Addr{10, 0, 0, 2}
	wireLocal = ipv4.Addr{10, 0, 0, 1}
)

func newWire(t *testing.T, cfg stack.Config, dev sim.Config) *wire {
	t.Helper()
	w := &wire{t: t, net: sim.NewNetwork(1)}
	dev.Name = "stack"
	d, err := w.net.NewDevice(dev)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Address, cfg.Seed = wireStack, 1
	if w.Stack, err = stack.New(cfg, d); err != nil {
		t.Fatal(err)
	}
	if w.dev, err = w.net.NewDevice(sim.Config{Name: "peer"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.net.Link(w.dev, d, sim.Impairment{Delay: time.Microsecond}); err != nil {
		t.Fatal(err)
	}
	w.to = d.HardwareAddr()
	w.run(time.Millisecond)
	return w
}

// run lets time pass.
func (w *wire) run(d time.Duration) { w.net.RunFor(d, w.Shard(0), w) }

// Step receives what the stack has sent.
func (w *wire) Step(clock.Time) bool {
	batch := make([]frame.Desc, 64)
	n := w.dev.Receive(batch)
	for _, d := range batch[:n] {
		b := w.dev.Pool().Bytes(d)
		if binary.BigEndian.Uint16(b[12:]) == uint16(ethernet.TypeARP) {
			w.arp(b[ethernet.HeaderLen:])
		} else {
			w.receive(b[ethernet.HeaderLen:])
		}
		w.dev.Pool().Release(d.Frame)
	}
	_ = w.dev.Flush()
	w.dev.Recycle()
	return n > 0
}

// Deadline is never: the peer acts only when the test does.
func (w *wire) Deadline() clock.Time { return clock.Never }

func (w *wire) arp(b []byte) {
	q, err := ethernet.ParseARP(b)
	if err != nil || q.Op != ethernet.ARPRequest || q.TargetIP != wirePeer {
		return
	}
	w.arps++
	if w.mute {
		return
	}
	a := ethernet.ARP{Op: ethernet.ARPReply, SenderMAC: w.dev.HardwareAddr(), SenderIP: wirePeer, TargetMAC: q.SenderMAC, TargetIP: q.SenderIP}
	w.frame(ethernet.TypeARP, w.to, func(b []byte) int { return a.Marshal(b) })
}

// receive keeps the TCP segments, after a look at what every packet must have.
func (w *wire) receive(b []byte) {
	var p packet
	if err := ipv4.Parse(b, &p.ip); err != nil {
		w.t.Errorf("the stack sends a bad IP packet: %v", err)
		return
	}
	if p.ip.Proto != ipv4.ProtoTCP {
		return
	}
	p.raw = append([]byte(nil), p.ip.Payload(b)...)
	if !tcp.VerifyChecksum(p.raw, ipv4.PseudoHeaderSum(p.ip.Src, p.ip.Dst, ipv4.ProtoTCP, len(p.raw))) {
		w.t.Error("the stack sends a segment with a wrong checksum")
	}
	if err := tcp.Parse(p.raw, &p.seg); err != nil || p.seg.BadOptions {
		w.t.Errorf("the stack sends a bad segment: %v", err)
	}
	w.in = append(w.in, p)
}

// next returns the next segment that the stack has sent.
func (w *wire) next() packet {
	w.t.Helper()
	if len(w.in) == 0 {
		w.t.Fatal("the stack has sent nothing")
	}
	p := w.in[0]
	w.in = w.in[1:]
	return p
}

func (w *wire) wantNothing() {
	w.t.Helper()
	if len(w.in) != 0 {
		w.t.Fatalf("the stack sends %v, want nothing", w.in[0].seg)
	}
}

// frame sends an Ethernet frame.
func (w *wire) frame(typ ethernet.Type, to [6]byte, payload func(b []byte) int) {
	p := w.dev.Pool()
	i := p.Alloc()
	b := p.Chunk(i)
	h := ethernet.Header{Dst: to, Src: w.dev.HardwareAddr(), Type: typ}
	n := h.Marshal(b)
	n += payload(b[n:])
	w.dev.Transmit([]frame.Desc{{Frame: i, Len: uint32(n)}})
	p.Release(i)
	_ = w.dev.Flush()
	w.dev.Recycle()
}

// sent is what the peer sends: a segment with what is unusual about it.
type sent struct {
	tcp.OutSegment
	srcPort, dstPort uint16
	payload          []byte
	src, dst         ipv4.Addr // zero: the peer's, the stack's
	toAll            bool      // by link broadcast
	options          []byte    // of IP, a multiple of 4
	spoil            bool      // the checksum is wrong
}

func (w *wire) send(s sent) {
	if s.src == (ipv4.Addr{}) {
		s.src = wirePeer
	}
	if s.dst == (ipv4.Addr{}) {
		s.dst = wireLocal
	}
	to := w.to
	if s.toAll {
		to = [6]byte{255, 255, 255, 255, 255, 255}
	}
	s.Frame = frame.None
	w.frame(ethernet.TypeIPv4, to, func(b []byte) int {
		hl := ipv4.MinHeaderLen + len(s.options)
		n := s.HeaderLen() + len(s.payload)
		h := ipv4.Header{TOS: s.ECN, TTL: 64, DF: true, Proto: ipv4.ProtoTCP, Src: s.src, Dst: s.dst, TotalLen: uint16(hl + n)}
		h.Marshal(b)
		copy(b[ipv4.MinHeaderLen:], s.options)
		b[0], b[10], b[11] = 4<<4|byte(hl/4), 0, 0
		binary.BigEndian.PutUint16(b[10:], checksum.Finish(checksum.Sum(b[:hl], 0)))
		t := b[hl : hl+n]
		copy(t[s.Marshal(t, s.srcPort, s.dstPort):], s.payload)
		sum := checksum.Finish(checksum.Sum(t, ipv4.PseudoHeaderSum(s.src, s.dst, ipv4.ProtoTCP, n)))
		if s.spoil {
			sum ^= 0x0100
		}
		binary.BigEndian.PutUint16(t[16:], sum)
		return hl + n
	})
	w.run(100 * time.Microsecond)
}

// icmp sends an ICMP error about a segment of the stack's.
func (w *wire) icmp(m ipv4.ICMP, about packet) {
	quote := make([]byte, ipv4.MinHeaderLen+len(about.raw))
	h := about.ip
	h.Marshal(quote)
	copy(quote[ipv4.MinHeaderLen:], about.raw)
	w.frame(ethernet.TypeIPv4, w.to, func(b []byte) int {
		n := m.MarshalError(b, quote, &h, 1)
		r := ipv4.Header{TTL: 64, Proto: ipv4.ProtoICMP, Src: ipv4.Addr{10, 0, 0, 254}, Dst: wireLocal, TotalLen: uint16(n)}
		r.Marshal(b)
		return n
	})
	w.run(100 * time.Microsecond)
}

// syn makes a SYN with the options of Linux.
func syn(port uint16, seq tcp.Seq) sent {
	return sent{srcPort: 4000, dstPort: port, OutSegment: tcp.OutSegment{
		Seq: seq, Flags: tcp.FlagSYN, Window: 65535, Options: tcp.Options{MSS: 1460, WScale: -1},
	}}
}

// ack makes an ACK of what the peer got last.
func ack(p packet, seq tcp.Seq, payload ...byte) sent {
	return sent{srcPort: p.seg.DstPort, dstPort: p.seg.SrcPort, payload: payload, OutSegment: tcp.OutSegment{
		Seq: seq, Ack: p.seg.End(), Flags: tcp.FlagACK, Window: 65535, Options: tcp.Options{WScale: -1},
	}}
}

// watcher is a handler that notes what it is told.
type watcher struct {
	conn    *stack.Conn
	got     []byte
	reports []stack.Report
	urgent  []uint32
	closed  bool
	err     error
}

func (h *watcher) Opened(c *stack.Conn) { h.conn = c }

func (h *watcher) Received(c *stack.Conn, p []byte) {
	h.got = append(h.got, p...)
	h.urgent = append(h.urgent, c.Urgent())
}
func (h *watcher) Writable(*stack.Conn)   {}
func (h *watcher) PeerClosed(*stack.Conn) {}

func (h *watcher) Closed(_ *stack.Conn, err error) { h.conn, h.closed, h.err = nil, true, err }

func (h *watcher) Report(_ *stack.Conn, r stack.Report) { h.reports = append(h.reports, r) }

// dial has the stack open a connection to the peer's port 80, as far as the SYN.
func (w *wire) dial(h stack.Handler) packet {
	w.t.Helper()
	if err := w.Connect(netip.AddrPortFrom(wirePeer.Netip(), 80), h); err != nil {
		w.t.Fatal(err)
	}
	w.run(time.Millisecond)
	return w.next()
}

// open completes a dial. The peer's next number is 1001 then.
func (w *wire) open(h *watcher) packet {
	w.t.Helper()
	p := w.dial(h)
	a := ack(p, 1000)
	a.Flags, a.MSS = tcp.FlagSYN|tcp.FlagACK, 1460
	w.send(a)
	p = w.next()
	if h.conn == nil {
		w.t.Fatal("the connection is not open")
	}
	return p
}

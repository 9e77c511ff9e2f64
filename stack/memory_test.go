package stack

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// memoryDevice is a device whose frames come from a test and are completed as soon as they are sent.
type memoryDevice struct {
	pool     *frame.Pool
	received []frame.Desc
	sent     []frame.Desc
}

func (d *memoryDevice) Pool() *frame.Pool              { return d.pool }
func (d *memoryDevice) HardwareAddr() [6]byte          { return [6]byte{2, 0, 0, 0, 0, 1} }
func (d *memoryDevice) MTU() int                       { return 1500 }
func (d *memoryDevice) ChecksumOffload() (rx, tx bool) { return false, false }
func (d *memoryDevice) Room() int                      { return 1024 }
func (d *memoryDevice) Flush() error                   { return nil }
func (d *memoryDevice) Recycle() int                   { return 0 }
func (d *memoryDevice) Wait(time.Duration) error       { return nil }
func (d *memoryDevice) Wake()                          {}
func (d *memoryDevice) Close() error                   { return nil }

func (d *memoryDevice) Receive(batch []frame.Desc) int {
	n := copy(batch, d.received)
	for _, p := range batch[:n] {
		d.pool.Received(p.Frame, p.Off, p.Len)
	}
	d.received = d.received[:copy(d.received, d.received[n:])]
	return n
}

func (d *memoryDevice) Transmit(batch []frame.Desc) int {
	for _, p := range batch {
		d.pool.Transmitting(p.Frame)
		d.pool.Completed(p.Frame) // Its bytes stay until the frame is used again.
	}
	d.sent = append(d.sent, batch...)
	return len(batch)
}

// memoryPeer is a shard over a memoryDevice with clients that the test plays, segment by segment.
type memoryPeer struct {
	t       testing.TB
	shard   *Shard
	dev     *memoryDevice
	now     clock.Time
	clients []memoryClient
}

// memoryClient is what the peer knows of one connection: its port follows from its number.
type memoryClient struct{ seq, ack tcp.Seq }

func newMemoryPeer(t testing.TB, clients int, h Handler) *memoryPeer {
	t.Helper()
	pool, err := frame.NewPool(make([]byte, (4096+2*clients)*2048), 2048) // Each keeps its last answer.
	if err != nil {
		t.Fatal(err)
	}
	dev := &memoryDevice{pool: pool, received: make([]frame.Desc, 0, 1024), sent: make([]frame.Desc, 0, 1024)}
	s, err := New(Config{Address: netip.MustParsePrefix("10.0.0.1/8"), Seed: 1}, dev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Handle(":80", h); err != nil {
		t.Fatal(err)
	}
	p := &memoryPeer{t: t, shard: s.Shard(0), dev: dev, now: clock.Time(time.Hour), clients: make([]memoryClient, clients)}
	p.put(func(b []byte) int {
		eth := ethernet.Header{Dst: ethernet.Addr(dev.HardwareAddr()), Src: ethernet.Addr{2, 0, 0, 0, 0, 9}, Type: ethernet.TypeARP}
		n := eth.Marshal(b)
		a := ethernet.ARP{Op: ethernet.ARPRequest, SenderMAC: eth.Src, SenderIP: [4]byte{10, 0, 0, 2}, TargetIP: [4]byte{10, 0, 0, 1}}
		return n + a.Marshal(b[n:])
	})
	p.step()
	return p
}

// put has the device receive what fill writes.
func (p *memoryPeer) put(fill func(b []byte) int) {
	f := p.dev.pool.GiveToFill()
	if f == frame.None {
		p.t.Fatal("the pool is empty")
	}
	n := fill(p.dev.pool.Chunk(f)[256:])
	p.dev.received = append(p.dev.received, frame.Desc{Frame: f, Off: 256, Len: uint32(n)})
}

// step runs the shard until nothing waits.
func (p *memoryPeer) step() {
	p.dev.sent = p.dev.sent[:0]
	p.now = p.now.Add(20 * time.Microsecond)
	for p.shard.Step(p.now) {
	}
}

func memoryPort(client int) uint16 { return uint16(1024 + client) }

// send sends a segment of client i with n bytes of payload.
func (p *memoryPeer) send(i int, flags tcp.Flags, n int) {
	c := &p.clients[i]
	f := p.dev.pool.GiveToFill()
	if f == frame.None {
		p.t.Fatal("the pool is empty")
	}
	b := p.dev.pool.Chunk(f)[256:]
	o := tcp.OutSegment{Seq: c.seq, Ack: c.ack, Flags: flags, Window: 65535}
	o.WScale = -1
	eth := ethernet.Header{Dst: p.shard.hw, Src: ethernet.Addr{2, 0, 0, 0, 0, 9}, Type: ethernet.TypeIPv4}
	off := eth.Marshal(b)
	hn := o.HeaderLen()
	ip := ipv4.Header{
		TTL: 64, DF: true, Proto: ipv4.ProtoTCP, Src: ipv4.Addr{10, 0, 0, 2}, Dst: ipv4.Addr{10, 0, 0, 1},
		TotalLen: uint16(ipv4.MinHeaderLen + hn + n),
	}
	off += ip.Marshal(b[off:])
	t := b[off : off+hn+n]
	sum := checksum.Sum(t[hn:], ipv4.PseudoHeaderSum(ip.Src, ip.Dst, ipv4.ProtoTCP, len(t)))
	o.MarshalSum(t[:hn], memoryPort(i), 80, sum)
	p.dev.received = append(p.dev.received, frame.Desc{Frame: f, Off: 256, Len: uint32(off + len(t))})
	c.seq = c.seq.Add(uint32(n) + uint32(flags&tcp.FlagSYN)>>1 + uint32(flags&tcp.FlagFIN))
}

// take counts what was sent to the clients into their numbers.
func (p *memoryPeer) take() {
	for _, d := range p.dev.sent {
		b := p.dev.pool.Bytes(d)[plainIP:]
		if b[0] != 0x45 {
			continue
		}
		t := b[ipv4.MinHeaderLen:]
		c := &p.clients[int(binary.BigEndian.Uint16(t[2:]))-int(memoryPort(0))]
		n := uint32(len(t)) - uint32(t[12]>>4)*4
		flags := tcp.Flags(t[13])
		if flags&tcp.FlagRST != 0 {
			p.t.Fatal("a connection was reset")
		}
		seq := tcp.Seq(binary.BigEndian.Uint32(t[4:]))
		if flags&tcp.FlagSYN != 0 {
			c.ack = seq
		}
		if seq == c.ack {
			c.ack = c.ack.Add(n + uint32(flags&tcp.FlagSYN)>>1 + uint32(flags&tcp.FlagFIN))
		}
	}
}

// turn has the shard answer what was sent to it.
func (p *memoryPeer) turn() {
	p.step()
	p.take()
}

// open has client i establish a connection.
func (p *memoryPeer) open(i int) {
	p.clients[i].seq = p.clients[i].seq.Add(100_000)
	p.send(i, tcp.FlagSYN, 0)
	p.turn()
}

// lifetime is a connection of client i: handshake, one request with the last ACK of that, its answer, and a close.
func (p *memoryPeer) lifetime(i int) {
	p.open(i)
	p.send(i, tcp.FlagACK|tcp.FlagPSH, 64)
	p.turn()
	p.send(i, tcp.FlagACK|tcp.FlagFIN, 0)
	p.turn()
	p.send(i, tcp.FlagACK, 0)
	p.turn()
}

// answers sends back as many bytes as it receives, and closes when the peer does.
type answers struct{ requests, closed int }

func (*answers) Opened(*Conn)       {}
func (*answers) Writable(*Conn)     {}
func (*answers) PeerClosed(c *Conn) { c.Close() }
func (a *answers) Closed(*Conn, error) {
	a.closed++
}

func (a *answers) Received(c *Conn, p []byte) {
	a.requests++
	c.Write(p)
}

// TestLifetimeAllocates has connections begin, carry a request and its answer, and end, without a single allocation.
func TestLifetimeAllocates(t *testing.T) {
	h := &answers{}
	p := newMemoryPeer(t, 1, h)
	for range 300 { // tables grow to their size
		p.lifetime(0)
	}
	h.requests, h.closed = 0, 0
	if n := testing.AllocsPerRun(1000, func() { p.lifetime(0) }); n != 0 {
		t.Errorf("%v allocations in the life of a connection, want 0", n)
	}
	if h.requests != 1001 || h.closed != 1001 {
		t.Errorf("%d requests and %d ends of 1001 connections", h.requests, h.closed)
	}
	if err := p.dev.pool.Check(); err != nil {
		t.Error(err)
	}
}

// TestRequestsAllocate has requests and answers on many connections cost no allocation.
func TestRequestsAllocate(t *testing.T) {
	h := &answers{}
	p := newMemoryPeer(t, 64, h)
	p.openAll()
	if n := testing.AllocsPerRun(1000, func() { p.requests(32, rand.IntN) }); n != 0 {
		t.Errorf("%v allocations in a batch of 32 requests, want 0", n)
	}
}

func (p *memoryPeer) openAll() {
	for i := range p.clients {
		p.open(i)
		p.send(i, tcp.FlagACK, 0)
		p.turn()
	}
}

// requests has n of the clients send a request of 64 bytes, which acknowledges the answer to their last.
func (p *memoryPeer) requests(n int, choose func(int) int) {
	for range n {
		p.send(choose(len(p.clients)), tcp.FlagACK|tcp.FlagPSH, 64)
	}
	p.turn()
}

// BenchmarkLifetime measures a connection at the server, from SYN to the end, with one request and its answer.
func BenchmarkLifetime(b *testing.B) {
	p := newMemoryPeer(b, 64, &answers{})
	b.ReportAllocs()
	for i := range b.N {
		p.lifetime(i % 64)
	}
}

// BenchmarkRequests measures a request of 64 bytes and its answer, in batches of 32 of connections chosen at random.
func BenchmarkRequests(b *testing.B) {
	for _, n := range []int{1, 256, 16384} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newMemoryPeer(b, n, &answers{})
			p.openAll()
			r := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += 32 {
				p.requests(32, r.IntN)
			}
		})
	}
}

package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// testSecret is the secret of every Core under test.
var testSecret = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

const (
	headroom  = 128
	deviceMSS = 1460
	chunkSize = 2048
)

// traceTests has every segment of the transfers logged.
const traceTests = false

var (
	flowA = Flow{LocalAddr: [4]byte{10, 0, 0, 1}, RemoteAddr: [4]byte{10, 0, 0, 2}, LocalPort: 40000, RemotePort: 80}
	flowB = flowA.Reverse()
)

// newHarnessCore makes a Core with a pool of its own.
func newHarnessCore(t testing.TB, frames int, cfg Config) *Core {
	t.Helper()
	return newLargeCore(t, frames, deviceMSS, cfg)
}

// newLargeCore is newHarnessCore for a device of any MTU.
func newLargeCore(t testing.TB, frames int, mss uint16, cfg Config) *Core {
	t.Helper()
	pool, err := frame.NewPool(make([]byte, frames*chunkSize), chunkSize)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewCore(pool, headroom, mss, 4<<20, testSecret, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// inject gives a segment, header and payload, to a connection in a frame of its pool. It reports false if the pool has none.
func inject(c *Conn, seg []byte) bool {
	p := c.core.Pool
	f := p.Alloc()
	if f == frame.None {
		return false
	}
	m := p.Meta(f)
	m.Off, m.Len = 34, uint32(len(seg))
	copy(p.Chunk(f)[34:], seg)
	c.Enqueue(f)
	return true
}

// injectPieces is inject with the segment in several frames: the header and so many bytes of payload in the first, as many in each
// other but the last.
func injectPieces(c *Conn, seg []byte, size int) bool {
	p := c.core.Pool
	if p.Free() < len(seg)/size+2 {
		return false
	}
	first, last := frame.None, frame.None
	for n := int(seg[12]>>4)*4 + size; len(seg) > 0; n = size {
		f := p.Alloc()
		m := p.Meta(f)
		m.Off, m.Len = 34, uint32(copy(p.Chunk(f)[34:], seg[:min(n, len(seg))]))
		seg = seg[m.Len:]
		if first == frame.None {
			first = f
		} else {
			p.Meta(last).Next = f
			p.Meta(last).Flags |= MetaMore
		}
		last = f
	}
	c.Enqueue(first)
	return true
}

// wireBytes writes a segment that was pulled as it would be on the wire, and checks that sending it in place would do no harm.
func wireBytes(t testing.TB, c *Conn, f Flow, o *OutSegment) []byte {
	t.Helper()
	b := make([]byte, o.HeaderLen()+int(o.Len))
	n := o.Marshal(b, f.LocalPort, f.RemotePort)
	if o.Frame != frame.None {
		p := c.core.Pool
		if !o.Copy {
			if p.InTransmission(o.Frame) {
				t.Fatalf("segment at %d is sent in place from a frame that the kernel has", o.Seq)
			}
			if o.Off < headroom {
				t.Fatalf("payload begins at %d: only %d bytes for headers", o.Off, o.Off)
			}
		}
		first := copyPayload(b[n:], p, o)
		if o.More != 0 {
			first = int(p.Meta(o.Frame).Len)
		}
		if sum := checksum.Sum(b[n:n+first], 0); o.Sum != 0 && uint32(o.Sum)%0xffff != sum%0xffff {
			t.Fatalf("segment at %d: the payload's sum is said to be %#x, and is %#x", o.Seq, o.Sum, sum)
		}
		return b
	}
	if sum := checksum.Sum(b[n:], 0); o.Sum != 0 && uint32(o.Sum)%0xffff != sum%0xffff {
		t.Fatalf("segment at %d: the payload's sum is said to be %#x, and is %#x", o.Seq, o.Sum, sum)
	}
	return b
}

// copyPayload copies the payload of a segment, from all its frames, and returns its length. There must be as much as the segment says.
func copyPayload(b []byte, p *frame.Pool, o *OutSegment) (n int) {
	f, m := o.Frame, p.Meta(o.Frame)
	first := o.Len
	if o.More != 0 {
		first = m.Len
	}
	n = copy(b, p.Bytes(frame.Desc{Frame: f, Off: o.Off, Len: first}))
	for range o.More {
		f = p.Meta(f).Next
		n += copy(b[n:], p.Data(f))
	}
	if n != int(o.Len) {
		panic(fmt.Sprintf("a segment of %d bytes has %d in %d frames", o.Len, n, o.More+1))
	}
	return n
}

// endpoint is one end of a test network: a connection, and an application that sends and receives a stream of known bytes.
type endpoint struct {
	name string
	core *Core
	flow Flow
	conn Conn
	l    *Listener

	send     int  // bytes still to be written
	sent     int  // bytes written
	closes   bool // CloseWrite after the last byte
	received int
	slow     bool // the application does not read
	closed   bool // CloseWrite was called
	events   Events
	inTX     []frame.Index // frames that the kernel has not completed
}

// network joins two endpoints by a link with seeded faults, under virtual time.
type network struct {
	t     testing.TB
	now   clock.Time
	a, b  *endpoint
	queue []packet
	rnd   *rand.Rand

	delay     time.Duration
	jitter    time.Duration // reorders what is sent within it
	stall     time.Duration // every second the path delivers nothing for so long, and then what came meanwhile, ten times as fast
	loss, dup float64
	corrupt   func(from *endpoint, s *Segment) bool // drops those for which it returns true
	trace     bool
	segments  int
}

type packet struct {
	at  clock.Time
	to  *endpoint
	seg []byte
}

func newNetwork(t testing.TB, cfgA, cfgB Config) *network {
	t.Helper()
	return newLargeNetwork(t, deviceMSS, cfgA, cfgB)
}

// newLargeNetwork is newNetwork for a link of any MTU.
func newLargeNetwork(t testing.TB, mss uint16, cfgA, cfgB Config) *network {
	t.Helper()
	n := &network{t: t, now: clock.Time(time.Hour), rnd: rand.New(rand.NewPCG(1, 2)), delay: 5 * time.Millisecond}
	n.a = &endpoint{name: "a", core: newLargeCore(t, 2048, mss, cfgA), flow: flowA}
	n.b = &endpoint{name: "b", core: newLargeCore(t, 2048, mss, cfgB), flow: flowB}
	return n
}

// connect lets a begin a connection to b, which listens, and waits until both ends are established.
func (n *network) connect() {
	n.t.Helper()
	var err error
	if n.b.l, err = NewListener(n.b.core, ListenerConfig{}); err != nil {
		n.t.Fatal(err)
	}
	n.a.conn.Connect(n.a.core, n.a.flow, nil, n.now)
	n.run(time.Minute, func() bool {
		return n.a.conn.State() == StateEstablished && n.b.conn.State() == StateEstablished
	})
}

// run lets time pass until done reports true; it fails the test if that takes longer than limit.
func (n *network) run(limit time.Duration, done func() bool) {
	n.t.Helper()
	end := n.now.Add(limit)
	for {
		n.step()
		if done() {
			return
		}
		next := min(n.a.deadline(), n.b.deadline())
		for _, p := range n.queue {
			next = min(next, p.at)
		}
		if next == clock.Never || next > end {
			n.t.Fatalf("not done after %v\na: %+v\nb: %+v", limit, n.a.conn.Info(), n.b.conn.Info())
		}
		n.now = max(n.now, next)
	}
}

func (e *endpoint) deadline() clock.Time {
	d := clock.Never
	if e.conn.core != nil {
		d = e.conn.Deadline()
	}
	if e.l != nil {
		d = min(d, e.l.Deadline())
	}
	return d
}

// step does everything that is due now at both ends.
func (n *network) step() {
	for range 1000 {
		n.a.core.BeginBatch(n.now)
		n.b.core.BeginBatch(n.now)
		var due []packet
		rest := n.queue[:0]
		for _, p := range n.queue {
			if p.at <= n.now {
				due = append(due, p)
			} else {
				rest = append(rest, p)
			}
		}
		n.queue = rest
		for _, p := range due {
			n.deliver(p)
		}
		worked := n.turn(n.a)
		if !n.turn(n.b) && !worked && len(due) == 0 {
			return
		}
	}
	n.t.Fatal("the endpoints do not come to rest")
}

func (n *network) deliver(p packet) {
	e := p.to
	give := inject
	if len(p.seg) > chunkSize-34 {
		give = func(c *Conn, seg []byte) bool { return injectPieces(c, seg, chunkSize-100) }
	}
	if e.conn.core != nil {
		give(&e.conn, p.seg)
		return
	}
	if e.l == nil {
		return
	}
	var s Segment
	var o OutSegment
	if err := Parse(p.seg, &s); err != nil {
		n.t.Fatal(err)
	}
	switch e.l.Input(e.flow, &s, n.now, &o) {
	case VerdictReply, VerdictReset:
		n.transmit(e, &o)
	case VerdictAccept:
		e.conn.Accept(e.core, e.l.Accepted(), nil, n.now)
		give(&e.conn, p.seg)
	}
}

// turn is what a shard does for one connection. It reports whether it did something.
func (n *network) turn(e *endpoint) bool {
	worked := false
	var o OutSegment
	if e.l != nil && e.l.Deadline() <= n.now {
		e.l.Expire(n.now)
		var f Flow
		for e.l.NextOutput(n.now, &f, &o) {
			n.transmit(e, &o)
		}
		worked = true
	}
	c := &e.conn
	if c.core == nil {
		return worked
	}
	for c.Process(n.now) {
		worked = true
	}
	if c.Deadline() <= n.now {
		c.Expire(n.now)
		worked = true
	}
	ev := c.TakeEvents()
	e.events |= ev
	if !e.slow {
		e.readAll(n.t)
	}
	e.writeAll(n.now)
	for {
		want := c.Wants(n.now)
		if !c.Output(n.now, &o) {
			if want && !c.is(flagStarved) {
				n.t.Fatalf("%s: Wants was true and Output gave nothing", e.name)
			}
			break
		}
		if !want {
			n.t.Fatalf("%s: Wants was false and Output gave a segment", e.name)
		}
		n.transmit(e, &o)
		worked = true
	}
	if err := checkInvariants(c); err != nil {
		n.t.Fatalf("%s at %v: %v", e.name, time.Duration(n.now), err)
	}
	return worked
}

func (n *network) transmit(e *endpoint, o *OutSegment) {
	n.segments++
	b := wireBytes(n.t, &e.conn, e.flow, o)
	p := e.core.Pool
	// The kernel takes a while to complete a frame; what is sent again meanwhile must say that it needs a copy.
	for len(e.inTX) > 8 {
		p.Completed(e.inTX[0])
		e.inTX = e.inTX[1:]
	}
	if o.Frame != frame.None && !o.Copy {
		p.Transmitting(o.Frame)
		e.inTX = append(e.inTX, o.Frame)
	}
	f := o.Frame
	for range o.More {
		if f = p.Meta(f).Next; !p.InTransmission(f) { // or a copy is sent
			p.Transmitting(f)
			e.inTX = append(e.inTX, f)
		}
	}
	var s Segment
	if err := Parse(b, &s); err != nil || s.BadOptions {
		n.t.Fatalf("%s sends a bad segment: %v", e.name, err)
	}
	to := n.a
	if e == n.a {
		to = n.b
	}
	if n.trace {
		n.t.Logf("%v %s %v seq %d ack %d win %d len %d sack %v", time.Duration(n.now), e.name, s.Flags, s.Seq, s.Ack, s.Window,
			s.PayloadLen, s.SACK[:s.NumSACK])
	}
	if n.rnd.Float64() < n.loss || (n.corrupt != nil && n.corrupt(e, &s)) {
		return
	}
	times := 1
	if n.rnd.Float64() < n.dup {
		times = 2
	}
	for range times {
		at := n.now.Add(n.delay)
		if n.jitter > 0 {
			at = at.Add(time.Duration(n.rnd.Int64N(int64(n.jitter))))
		}
		if phase := time.Duration(at.Add(time.Second/2)) % time.Second; phase < n.stall*10/9 {
			at = at.Add(n.stall + phase/10 - phase)
		}
		n.queue = append(n.queue, packet{at, to, b})
	}
}

// streamByte is the byte of every test stream at an offset.
func streamByte(i int) byte { return byte(i*7 + i>>8*13 + i>>16) }

func fillStream(b []byte, from int) {
	for i := range b {
		b[i] = streamByte(from + i)
	}
}

func (e *endpoint) writeAll(now clock.Time) {
	if e.conn.State() < StateEstablished {
		return
	}
	var buf [4096]byte
	for e.send > 0 {
		b := buf[:min(len(buf), e.send)]
		fillStream(b, e.sent)
		n := e.conn.Write(b)
		e.sent += n
		e.send -= n
		if n < len(b) {
			return
		}
	}
	if e.closes && !e.closed {
		e.closed = true
		e.conn.CloseWrite(now)
	}
}

func (e *endpoint) readAll(t testing.TB) {
	p := e.core.Pool
	for f := e.conn.Recv(); f != frame.None; f = e.conn.Recv() {
		b := p.Data(f)
		for i := range b {
			if b[i] != streamByte(e.received+i) {
				t.Fatalf("%s: byte %d of the stream is wrong", e.name, e.received+i)
			}
		}
		e.received += len(b)
		p.Release(f)
		e.conn.Consumed(uint32(len(b)))
	}
}

// finish releases everything and checks that no frame is lost.
func (n *network) finish() {
	n.t.Helper()
	for _, e := range []*endpoint{n.a, n.b} {
		e.conn.Release()
		for _, f := range e.inTX {
			e.core.Pool.Completed(f)
		}
		if err := checkPool(e.core); err != nil {
			n.t.Errorf("%s: %v", e.name, err)
		}
	}
}

// checkPool reports an error unless every frame of the pool is free.
func checkPool(k *Core) error {
	if err := k.Pool.Check(); err != nil {
		return err
	}
	if a := k.Pool.Account(); a.Free != k.Pool.Size() {
		return fmt.Errorf("frames leaked: %+v", a)
	}
	if k.fastOpen.early != 0 {
		return fmt.Errorf("%d connections count as open early although none is left", k.fastOpen.early)
	}
	if k.held != 0 {
		return fmt.Errorf("%d bytes count as held although no connection is left", k.held)
	}
	if n := int(k.rares.n) - len(k.rares.free); n != 1 {
		return fmt.Errorf("%d records are in use although no connection is left, the one at rest included", n)
	}
	if len(k.kept) != 0 {
		return fmt.Errorf("%d configurations are kept although no connection is left", len(k.kept))
	}
	if k.unread != 0 {
		return fmt.Errorf("%d bytes count as unread although no connection is left", k.unread)
	}
	return nil
}

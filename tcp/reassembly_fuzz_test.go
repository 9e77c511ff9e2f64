package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// model is what a receiver is, without lists of frames: for each byte of the stream whether it was received.
type model struct {
	have   [1 << 16]uint8 // by offset: which versions of the byte were received
	nxt    int            // RCV.NXT: all before it was received
	length int            // of the stream: where the FIN is
	fin    bool           // the FIN was received
	closed bool           // and all before it
	read   int            // what the application took
}

// takes has the model receive [from, to), with a FIN after it or not, while the window ends at adv. It reports false if nothing of
// it is in the window (RFC 9293 section 3.10.7.4, table 6; a FIN needs no room).
func (m *model) takes(from, to int, fin bool, version uint8, adv int) bool {
	last := to - 1
	if fin {
		last = to
	}
	in := func(at int) bool { return at >= m.nxt && at < adv }
	switch {
	case m.closed || last < from:
		return false
	case adv == m.nxt && (to > from || from != m.nxt):
		return false
	case adv > m.nxt && !in(from) && !in(last) && (from >= m.nxt || last < adv):
		return false
	}
	for i := max(from, m.nxt); i < min(to, adv); i++ {
		m.have[i] |= 1 << version
	}
	m.fin = m.fin || fin && to <= adv
	return true
}

// forgets undoes takes, for what the receiver had no room for.
func (m *model) forgets(had []uint8, from int) { copy(m.have[from:], had) }

// advance moves RCV.NXT.
func (m *model) advance() {
	for m.nxt < m.length && m.have[m.nxt] != 0 {
		m.nxt++
	}
	if m.fin && m.nxt == m.length && !m.closed {
		m.closed = true
		m.nxt++
	}
}

// reassembly compares a connection with the model.
type reassembly struct {
	model
	t        *testing.T
	c        *Conn
	now      clock.Time
	base     Seq // of offset 0
	edge     Seq // the last right edge that was advertised
	consumed int
	versions bool // what is sent again may differ
	split    int  // bytes of payload in each frame of a segment; 0: it is in one frame
	unknown  bool // there was room for a part of a segment: the model does not know which
}

// FuzzReassembly has a connection receive any sequence of segments that are pieces of a stream, overlapping, beyond the window, in any
// order, and a model that only marks bytes: both must acknowledge and deliver the same.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 10, 0, 0, 100, 0x40, 0x80, 100, 1, 0, 50})
	f.Add([]byte{0x71, 40, 0, 200, 200, 0, 100, 255, 0, 0, 100, 3, 5, 0, 0, 255})
	f.Add([]byte{0x0c, 3, 0x10, 60, 60, 0x10, 30, 90, 0x20, 0, 255, 4, 3, 0x20, 0, 255, 5, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzReassembly(t, data, 0)
		fuzzReassembly(t, data, 100)
	})
}

// fuzzReassembly does it with segments in one frame, or with so many bytes of payload in each frame.
func fuzzReassembly(t *testing.T, data []byte, split int) {
	in := &fuzzInput{data}
	v := in.byte()
	cfg := Config{NoSACK: v&1 != 0}
	if v&2 == 0 {
		cfg.RecvBuffer = 1 << (9 + v>>5)
	}
	k := newFuzzCore(t, 0, headroom, cfg)
	r := &reassembly{t: t, c: new(Conn), now: clock.Time(time.Hour), versions: v&4 != 0, split: split}
	irs := Seq(1<<32 - 1000)
	r.base, r.length = irs+1, int(in.byte())<<7|int(v>>3)
	k.BeginBatch(r.now)
	r.c.Accept(k, &Accepted{Flow: flowA, IRS: irs, ISS: 7, RcvWnd: min(1000, k.Config.RecvBuffer), MSS: 1460, RcvWScale: v >> 3 & 3, HasWScale: true,
		SACKPermitted: v&1 == 0}, nil, r.now)
	r.edge = r.c.rcv.adv
	for steps := 0; len(in.b) > 0 && steps < 2000 && !r.unknown; steps++ {
		r.step(in)
	}
	if r.unknown {
		r.c.Release()
		return
	}
	r.output()
	r.readFrames(1 << 20)
	if r.c.core != nil && r.read != min(r.nxt, r.length) {
		t.Fatalf("%d bytes were delivered, %d received in order", r.read, min(r.nxt, r.length))
	}
	r.c.Release()
	if err := checkPool(k); err != nil {
		t.Fatal(err)
	}
}

func (r *reassembly) step(in *fuzzInput) {
	switch op := in.byte(); op & 15 {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9:
		r.segment(in, op)
	case 10:
		r.readFrames(int(op>>4) + 1)
	case 11:
		n := min(int(op>>4+1)*200, r.read-r.consumed)
		r.consumed += n
		r.c.Consumed(uint32(n))
	case 12:
		r.now = r.now.Add(time.Duration(op>>4) * 20 * time.Millisecond)
		r.c.core.BeginBatch(r.now)
		if r.c.Deadline() <= r.now {
			r.c.Expire(r.now)
		}
	default:
		r.output()
	}
	if err := checkInvariants(r.c); err != nil {
		r.t.Fatal(err)
	}
	if r.unknown {
		return
	}
	if got := int(r.c.rcv.nxt - r.base); got != r.nxt {
		r.t.Fatalf("RCV.NXT is %d, the model's %d", got, r.nxt)
	}
	if c := r.c; r.closed != (c.state == StateCloseWait) {
		r.t.Fatalf("state %v, the model has received the FIN and all before it: %v", c.state, r.closed)
	}
}

// segment has both receive one segment.
func (r *reassembly) segment(in *fuzzInput, op byte) {
	from := r.nxt + int(int32(in.number()))
	if op&16 != 0 {
		from = r.nxt
	}
	n := int(in.byte())
	if op&32 != 0 {
		n *= 5
	}
	from = min(max(from, 0), r.length)
	to := min(from+n, r.length)
	fin := to == r.length && op&64 != 0
	version := uint8(0)
	if r.versions {
		version = op >> 7
	}
	c, k := r.c, r.c.core
	adv := int(c.rcv.adv - r.base)
	had := append([]uint8(nil), r.have[from:to]...)
	ooo := from > r.nxt
	if !r.inject(r.wire(from, to, fin, version)) {
		return
	}
	full := k.Stats.DropOutOfOrderFull
	r.takes(from, to, fin, version, adv)
	c.Process(r.now)
	if k.Stats.DropOutOfOrderFull != full {
		if !ooo {
			r.t.Fatalf("there was no room for what is in order")
		}
		if r.split != 0 {
			r.unknown = true
			return
		}
		r.forgets(had, from)
	}
	r.advance()
}

func (r *reassembly) inject(seg []byte) bool {
	if r.split == 0 {
		return inject(r.c, seg)
	}
	return injectPieces(r.c, seg, r.split)
}

// wire is the segment as it comes in.
func (r *reassembly) wire(from, to int, fin bool, version uint8) []byte {
	var o OutSegment
	o.Clear()
	o.Seq, o.Ack, o.Flags, o.Window = r.base.Add(uint32(from)), r.c.snd.una, FlagACK, 60000
	if fin {
		o.Flags |= FlagFIN
	}
	b := make([]byte, o.HeaderLen()+to-from)
	n := o.Marshal(b, flowA.RemotePort, flowA.LocalPort)
	for i := range b[n:] {
		b[n+i] = streamByte(from+i)&0x7f | version<<7
	}
	return b
}

// readFrames has the application take so many frames.
func (r *reassembly) readFrames(most int) {
	p := r.c.core.Pool
	for range most {
		f := r.c.Recv()
		if f == frame.None {
			return
		}
		for _, b := range p.Data(f) {
			if b&0x7f != streamByte(r.read)&0x7f || r.have[r.read]&(1<<(b>>7)) == 0 {
				r.t.Fatalf("byte %d is %#x, and was not received as that", r.read, b)
			}
			r.read++
		}
		p.Release(f)
	}
}

// output checks what the connection has to say.
func (r *reassembly) output() {
	var o OutSegment
	for range 600 {
		if !r.c.Output(r.now, &o) {
			return
		}
		if o.Flags&FlagRST != 0 {
			r.t.Fatal("a reset")
		}
		if got := int(o.Ack - r.base); got != r.nxt {
			r.t.Fatalf("%d is acknowledged, the model has received %d", got, r.nxt)
		}
		unit := uint32(1) << r.c.rcv.scale // A full window's edge may lose a part of a unit (RFC 7323 section 2.4).
		edge := o.Ack.Add(uint32(o.Window) * unit)
		if edge.Add(unit - 1).Less(r.edge) {
			r.t.Fatalf("the right edge goes from %d back to %d", r.edge-r.base, edge-r.base)
		}
		if edge.Greater(r.edge) {
			r.edge = edge
		}
		for _, b := range o.SACK[:o.NumSACK] {
			for i := int(b.Start - r.base); i < int(b.End-r.base); i++ {
				if i < 0 || i >= r.length || r.have[i] == 0 {
					r.t.Fatalf("SACK block %d to %d, and %d was not received", b.Start-r.base, b.End-r.base, i)
				}
			}
		}
	}
	r.t.Fatal("there is no end to what is sent")
}

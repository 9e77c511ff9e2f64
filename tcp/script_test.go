package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// script plays the peer of one connection, segment by segment, under a virtual clock. Sequence numbers are relative as in packet
// traces: 0 is the SYN and 1 the first byte of either side. Payload is a pattern that depends on the place in the stream, so
// whatever arrives at the wrong place is found.
type script struct {
	t    testing.TB
	k    *Core
	c    *Conn
	now  clock.Time
	flow Flow

	iss, irs Seq          // what 0 is on our side, and on the peer's
	scale    uint8        // shift of the windows that the peer sends
	ts       bool         // the peer sends timestamps
	tsBase   uint32       // the peer's timestamp when the clock is 0
	wrote    uint32       // bytes that the application wrote
	read     uint32       // bytes that it read
	events   Events       // all that were raised
	hold     bool         // the kernel keeps the frames of what is sent
	urgent   uint16       // the urgent pointer of the peer's segments
	pulled   []OutSegment // what was sent between the segments of a batch
}

// seg is a segment from the peer, or one that is expected from the connection.
type seg struct {
	flags    Flags
	seq, ack uint32 // relative
	len      uint32
	wnd      uint32 // bytes; 0: 65535
	closed   bool   // the window is 0
	sack     []SACKBlock
	tsVal    uint32 // instead of the clock's
	tsEcr    uint32 // instead of the clock's
	noTS     bool
	ce       bool // a router marked it
	bad      byte // added to each byte of the payload
}

// ack is the flag of nearly every segment.
const fA = FlagACK

type scriptOptions struct {
	cfg      Config
	iss, irs Seq
	mss      uint16 // of the peer; default 1460
	wscale   int8   // of the peer; default none
	sack, ts bool
	ecn      bool
	frames   int
}

// newScript makes the parts without a connection.
func newScript(t testing.TB, o scriptOptions) *script {
	t.Helper()
	if o.frames == 0 {
		o.frames = 4096
	}
	pool, err := frame.NewPool(make([]byte, o.frames*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewCore(pool, 128, 1460, 1<<20, [16]byte{7}, o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{
		t: t, k: k, c: new(Conn), now: clock.Time(100 * time.Second), flow: testFlow,
		iss: o.iss, irs: o.irs, ts: o.ts, tsBase: 1<<32 - 102_000,
	}
	if o.wscale > 0 {
		s.scale = uint8(o.wscale)
	}
	k.BeginBatch(s.now)
	t.Cleanup(s.checkFrames)
	return s
}

// established makes a connection that a Listener has accepted, both sides idle, with the peer's window at 65535 << scale.
func established(t testing.TB, o scriptOptions) *script {
	t.Helper()
	s := newScript(t, o)
	mss := o.mss
	if mss == 0 {
		mss = 1460
	}
	a := Accepted{
		Flow: s.flow, IRS: o.irs, ISS: o.iss, MSS: mss, RcvWnd: min(s.k.Config.recvBuffer(), 65535), HasTS: o.ts, SACKPermitted: o.sack,
		ECN:      o.ecn,
		TSRecent: s.peerTS(), SentAt: s.now.Add(-10 * ms),
	}
	if o.wscale > 0 {
		a.HasWScale, a.SndWScale, a.RcvWScale = true, uint8(o.wscale), s.k.Config.scale()
	}
	s.c.Accept(s.k, &a, nil, s.now)
	s.inject(seg{flags: fA, seq: 1, ack: 1})
	s.wantState(StateEstablished)
	s.wantNothing()
	return s
}

// checkFrames releases the connection and looks for frames that were lost.
func (s *script) checkFrames() {
	s.c.Release()
	s.k.Pool.Reclaim()
	if err := s.k.Pool.Check(); err != nil {
		s.t.Error(err)
	}
	if a := s.k.Pool.Account(); a.Held != 0 {
		s.t.Errorf("%d frames are still held after Release", a.Held)
	}
	if s.k.held != 0 {
		s.t.Errorf("the core counts %d bytes of received frames after Release", s.k.held)
	}
}

// pattern is the byte at a relative place of either stream.
func pattern(at uint32) byte { return byte(at*2654435761>>24) ^ byte(at) }

func (s *script) peerTS() uint32 { return s.tsBase + s.now.Millis() }

// inject gives the connection segments of the peer in one batch and processes them.
func (s *script) inject(segs ...seg) {
	s.t.Helper()
	s.k.BeginBatch(s.now)
	for _, g := range segs {
		s.enqueue(g)
	}
	for s.c.Process(s.now) {
	}
	s.takeEvents()
}

// enqueue makes a frame of a segment and queues it.
func (s *script) enqueue(g seg) {
	s.t.Helper()
	p := s.k.Pool
	f := p.Alloc()
	if f == frame.None {
		s.t.Fatal("the pool is empty")
	}
	var o OutSegment
	s.fill(&o, g)
	m := p.Meta(f)
	m.Off = 54
	n := o.Marshal(p.Chunk(f)[m.Off:], s.flow.RemotePort, s.flow.LocalPort)
	m.Len = uint32(n) + g.len
	if g.ce {
		m.Flags |= MetaCE
	}
	for i, payload := uint32(0), p.Data(f)[n:]; i < g.len; i++ {
		payload[i] = pattern(g.seq+i) + g.bad
	}
	s.c.Enqueue(f)
}

// fill makes the header of the peer's segment.
func (s *script) fill(o *OutSegment, g seg) {
	o.Clear()
	o.Seq, o.Flags, o.Window, o.Urgent = s.irs.Add(g.seq), g.flags, 65535, s.urgent
	if g.flags&FlagACK != 0 {
		o.Ack = s.iss.Add(g.ack)
	}
	if g.wnd != 0 {
		o.Window = uint16(g.wnd >> s.scale)
	}
	if g.closed {
		o.Window = 0
	}
	for i, b := range g.sack {
		o.SACK[i] = SACKBlock{s.iss.Add(uint32(b.Start)), s.iss.Add(uint32(b.End))}
		o.NumSACK++
	}
	if s.ts && !g.noTS {
		o.HasTS, o.TSVal, o.TSEcr = true, s.peerTS(), s.c.tsValue(s.now)
		if g.tsVal != 0 {
			o.TSVal = g.tsVal
		}
		if g.tsEcr != 0 {
			o.TSEcr = g.tsEcr
		}
	}
}

// pull takes the next segment that the connection sends.
func (s *script) pull() (o OutSegment, ok bool) {
	s.t.Helper()
	if len(s.pulled) != 0 {
		o, s.pulled = s.pulled[0], s.pulled[1:]
		return o, true
	}
	wants := s.c.Wants(s.now)
	ok = s.c.Output(s.now, &o)
	if ok && !wants {
		s.t.Fatal("Output gives a segment although Wants says that there is none")
	}
	if !ok {
		return o, false
	}
	if p := s.k.Pool; o.Len != 0 && !p.InTransmission(o.Frame) {
		p.Transmitting(o.Frame)
		if !s.hold {
			p.Completed(o.Frame)
		}
	}
	s.takeEvents()
	return o, true
}

// want expects a segment next. A zero window field of it is not compared.
func (s *script) want(w seg) OutSegment {
	s.t.Helper()
	o, ok := s.pull()
	if !ok {
		s.t.Fatalf("nothing is sent, want %s", w)
	}
	got := s.relative(&o)
	switch {
	case got.flags&^FlagPSH != w.flags&^FlagPSH || got.seq != w.seq || got.len != w.len,
		got.ack != w.ack,
		w.closed && o.Window != 0,
		w.sack != nil && fmt.Sprint(got.sack) != fmt.Sprint(w.sack):
		s.t.Fatalf("got %s, want %s", got, w)
	}
	if o.Len != 0 {
		for i, b := range s.k.Pool.Chunk(o.Frame)[o.Off : o.Off+o.Len] {
			if b != pattern(got.seq+uint32(i)) {
				s.t.Fatalf("%s: byte %d of the payload is wrong", got, i)
			}
		}
	}
	return o
}

// relative turns what was sent into relative numbers.
func (s *script) relative(o *OutSegment) seg {
	g := seg{flags: o.Flags, seq: uint32(o.Seq - s.iss), len: o.Len, closed: o.Window == 0}
	if o.Flags&FlagACK != 0 {
		g.ack = uint32(o.Ack - s.irs)
	}
	for _, b := range o.SACK[:o.NumSACK] {
		g.sack = append(g.sack, SACKBlock{b.Start - s.irs, b.End - s.irs})
	}
	return g
}

func (g seg) String() string {
	return fmt.Sprintf("%v %d:%d ack %d sack %v", g.flags, g.seq, g.seq+g.len, g.ack, g.sack)
}

// wantData expects full or other segments of data that together make [from, to), and nothing else.
func (s *script) wantData(from, to, mss, ack uint32) {
	s.t.Helper()
	for ; from < to; from += mss {
		s.want(seg{flags: fA, seq: from, len: min(mss, to-from), ack: ack})
	}
}

func (s *script) wantNothing() {
	s.t.Helper()
	if o, ok := s.pull(); ok {
		s.t.Fatalf("%s is sent, want nothing", s.relative(&o))
	}
}

// drain takes everything that is sent, at most n segments, and returns how many there were.
func (s *script) drain(n int) int {
	s.t.Helper()
	for i := range n + 1 {
		if _, ok := s.pull(); !ok {
			return i
		}
	}
	s.t.Fatalf("more than %d segments are sent", n)
	return 0
}

func (s *script) wantState(w State) {
	s.t.Helper()
	if got := s.c.State(); got != w {
		s.t.Fatalf("state %v, want %v", got, w)
	}
}

// wantEvents expects all of the events since it was last called.
func (s *script) wantEvents(w Events) {
	s.t.Helper()
	if s.events != w {
		s.t.Fatalf("events %q, want %q", s.events, w)
	}
	s.events = 0
}

func (s *script) takeEvents() { s.events |= s.c.TakeEvents() }

// write has the application write n bytes and expects all to be taken.
func (s *script) write(n int) {
	s.t.Helper()
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(1 + s.wrote + uint32(i))
	}
	s.k.BeginBatch(s.now)
	if got := s.c.Write(b); got != n {
		s.t.Fatalf("Write took %d bytes of %d", got, n)
	}
	s.wrote += uint32(n)
}

// wantRead expects that the application can read exactly n bytes, all of them right, and consumes them.
func (s *script) wantRead(n uint32) {
	s.t.Helper()
	got := uint32(0)
	for f := s.c.Recv(); f != frame.None; f = s.c.Recv() {
		for i, b := range s.k.Pool.Data(f) {
			if at := 1 + s.read + uint32(i); b != pattern(at) {
				s.t.Fatalf("the byte at %d is wrong", at)
			}
		}
		got += s.k.Pool.Meta(f).Len
		s.read += s.k.Pool.Meta(f).Len
		s.k.Pool.Release(f)
	}
	if got != n {
		s.t.Fatalf("read %d bytes, want %d", got, n)
	}
	if n != 0 {
		s.c.Consumed(n)
	}
}

// advance lets time pass; timers that fall due meanwhile expire at their times. What they have sent is to be expected afterwards.
func (s *script) advance(d time.Duration) {
	s.t.Helper()
	end := s.now.Add(d)
	for s.c.Deadline() <= end {
		s.expire()
		if s.c.Deadline() <= s.now {
			s.t.Fatalf("a timer is still due after Expire")
		}
	}
	s.now = end
	s.k.BeginBatch(end)
}

// expire goes to the next deadline.
func (s *script) expire() {
	s.t.Helper()
	d := s.c.Deadline()
	if d == clock.Never {
		s.t.Fatal("no timer runs")
	}
	s.now = max(s.now, d)
	s.k.BeginBatch(s.now)
	s.c.Expire(s.now)
	s.takeEvents()
}

// wantTimer expects the next timer after d.
func (s *script) wantTimer(d time.Duration) {
	s.t.Helper()
	if got := s.c.Deadline(); got != s.now.Add(d) {
		s.t.Fatalf("the next timer runs for %v, want %v", got.Sub(s.now), d)
	}
}

package tcp

import (
	"errors"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// establishedPair returns two connections that have just shaken hands, without a network between them.
func establishedPair(t testing.TB, cfg Config) (a, b *Conn, now clock.Time) {
	t.Helper()
	now = clock.Time(time.Hour)
	a, b = new(Conn), new(Conn)
	ka, kb := newHarnessCore(t, 8192, cfg), newHarnessCore(t, 8192, cfg)
	ka.BeginBatch(now)
	kb.BeginBatch(now)
	l, err := NewListener(kb, ListenerConfig{SynBacklog: 16})
	if err != nil {
		t.Fatal(err)
	}
	a.Connect(ka, flowA, nil, now)
	var o OutSegment
	var s Segment
	for range 3 {
		for a.Output(now, &o) {
			seg := wireBytes(t, a, flowA, &o)
			if b.core != nil {
				inject(b, seg)
			} else if err := Parse(seg, &s); err != nil {
				t.Fatal(err)
			} else {
				switch l.Input(flowB, &s, now, &o) {
				case VerdictReply:
					inject(a, wireBytes(t, a, flowB, &o))
				case VerdictAccept:
					b.Accept(kb, l.Accepted(), nil, now)
					inject(b, seg)
				}
			}
		}
		a.Process(now)
		if b.core != nil {
			b.Process(now)
		}
	}
	if a.State() != StateEstablished || b.State() != StateEstablished {
		t.Fatalf("states %v and %v after the handshake", a.State(), b.State())
	}
	a.TakeEvents()
	b.TakeEvents()
	return a, b, now
}

// exchange carries what from has to send to to, as a device does, with no allocation of its own. It returns the segments.
func exchange(from, to *Conn, now clock.Time, o *OutSegment) (n int) {
	for from.Output(now, o) {
		n++
		pf, pt := from.core.Pool, to.core.Pool
		f := pt.Alloc()
		m := pt.Meta(f)
		chunk := pt.Chunk(f)
		h := o.Marshal(chunk[34:], from.flow.LocalPort, from.flow.RemotePort)
		m.Off, m.Len = 34, uint32(h)
		if o.Len != 0 {
			m.Len += uint32(copy(chunk[34+h:], pf.Bytes(frame.Desc{Frame: o.Frame, Off: o.Off, Len: o.Len})))
		}
		to.Enqueue(f)
	}
	return n
}

// consume takes what was received, as a handler does.
func consume(c *Conn) {
	for f := c.Recv(); f != frame.None; f = c.Recv() {
		n := c.core.Pool.Meta(f).Len
		c.core.Pool.Release(f)
		c.Consumed(n)
	}
}

// bulkTurn is one round of a bulk transfer: a batch of 32 full segments, and the ACK of them. It returns the segments of both sides.
func bulkTurn(a, b *Conn, now clock.Time, o *OutSegment, payload []byte) int {
	a.core.BeginBatch(now)
	b.core.BeginBatch(now)
	a.Write(payload)
	n := exchange(a, b, now, o)
	b.Process(now)
	b.TakeEvents()
	consume(b)
	n += exchange(b, a, now, o)
	a.Process(now)
	a.TakeEvents()
	return n
}

func TestTransferAllocates(t *testing.T) {
	a, b, now := establishedPair(t, Config{})
	payload := make([]byte, 32*1448)
	var o OutSegment
	if n := testing.AllocsPerRun(200, func() {
		now += clock.Time(time.Millisecond)
		bulkTurn(a, b, now, &o, payload)
	}); n != 0 {
		t.Errorf("%v allocations in a round of a transfer, want 0", n)
	}
}

// lifetime has a connection begin, carry a request and an answer, and end, with a close by the client first.
func lifetime(t testing.TB, a, b *Conn, l *Listener, k *Core, now clock.Time, o *OutSegment, seg []byte) {
	var s Segment
	a.Connect(k, flowA, nil, now)
	a.Output(now, o)
	o.Marshal(seg, flowA.LocalPort, flowA.RemotePort)
	if Parse(seg[:o.HeaderLen()], &s) != nil || l.Input(flowB, &s, now, o) != VerdictReply {
		t.Fatal("no SYN-ACK")
	}
	o.Marshal(seg, flowB.LocalPort, flowB.RemotePort)
	inject(a, seg[:o.HeaderLen()])
	a.Process(now)
	a.Output(now, o)
	o.Marshal(seg, flowA.LocalPort, flowA.RemotePort)
	if Parse(seg[:o.HeaderLen()], &s) != nil || l.Input(flowB, &s, now, o) != VerdictAccept {
		t.Fatal("not accepted")
	}
	b.Accept(l.core, l.Accepted(), nil, now)
	inject(b, seg[:o.HeaderLen()])
	l.Taken()
	turn := func() {
		for range 3 {
			b.Process(now)
			consume(b)
			exchange(b, a, now, o)
			a.Process(now)
			consume(a)
			exchange(a, b, now, o)
		}
	}
	a.Write(seg[:100])
	exchange(a, b, now, o)
	turn()
	b.Write(seg[:100])
	turn()
	a.Close(now)
	exchange(a, b, now, o)
	turn()
	b.Close(now)
	turn()
	if a.State() != StateTimeWait || b.State() != StateClosed || a.Err() != nil || b.Err() != nil {
		t.Fatalf("states %v and %v in the end", a.State(), b.State())
	}
	a.Release()
	b.Release()
}

func TestLifetimeAllocates(t *testing.T) {
	ka, kb := newHarnessCore(t, 64, Config{}), newHarnessCore(t, 64, Config{})
	l, err := NewListener(kb, ListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var a, b Conn
	var o OutSegment
	seg := make([]byte, 128)
	now := clock.Time(time.Hour)
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Millisecond)
		ka.BeginBatch(now)
		kb.BeginBatch(now)
		lifetime(t, &a, &b, l, ka, now, &o, seg)
	}); n != 0 {
		t.Errorf("%v allocations in the life of a connection, want 0", n)
	}
	if err := errors.Join(checkPool(ka), checkPool(kb)); err != nil {
		t.Error(err)
	}
}

// BenchmarkLifetime measures a whole connection at both ends: handshake, a request, an answer, close.
func BenchmarkLifetime(b *testing.B) {
	ka, kb := newHarnessCore(b, 64, Config{}), newHarnessCore(b, 64, Config{})
	l, err := NewListener(kb, ListenerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	var x, y Conn
	var o OutSegment
	seg := make([]byte, 128)
	now := clock.Time(time.Hour)
	b.ReportAllocs()
	for range b.N {
		now = now.Add(time.Millisecond)
		ka.BeginBatch(now)
		kb.BeginBatch(now)
		lifetime(b, &x, &y, l, ka, now, &o, seg)
	}
}

// BenchmarkReceive measures Process, the application's Recv and the ACK, for each in-order segment of 1448 bytes.
func BenchmarkReceive(b *testing.B) {
	x, y, now := establishedPair(b, Config{})
	payload := make([]byte, 32*1448)
	var o OutSegment
	b.ReportAllocs()
	b.SetBytes(1448)
	b.ResetTimer()
	for i := 0; i < b.N; i += 32 {
		b.StopTimer()
		now += clock.Time(time.Millisecond)
		x.core.BeginBatch(now)
		x.Write(payload)
		exchange(x, y, now, &o)
		b.StartTimer()
		y.core.BeginBatch(now)
		y.Process(now)
		y.TakeEvents()
		consume(y)
		for y.Output(now, &o) {
			b.StopTimer()
			f := x.core.Pool.Alloc()
			m := x.core.Pool.Meta(f)
			m.Off, m.Len = 34, uint32(o.Marshal(x.core.Pool.Chunk(f)[34:], 80, 40000))
			x.Enqueue(f)
			b.StartTimer()
		}
		b.StopTimer()
		x.Process(now)
		b.StartTimer()
	}
}

// BenchmarkTransfer measures a segment and its share of the ACK at both ends, with the copies that write and network make.
func BenchmarkTransfer(b *testing.B) {
	x, y, now := establishedPair(b, Config{})
	payload := make([]byte, 32*1448)
	var o OutSegment
	b.ReportAllocs()
	b.SetBytes(1448)
	for i := 0; i < b.N; i += 32 {
		now += clock.Time(time.Millisecond)
		bulkTurn(x, y, now, &o, payload)
	}
}

// BenchmarkSend measures Write, Output and the ACK of it (one for each two segments), for each segment of 1448 bytes.
func BenchmarkSend(b *testing.B) {
	x, y, now := establishedPair(b, Config{})
	payload := make([]byte, 32*1448)
	var o OutSegment
	ack := OutSegment{Flags: FlagACK, Window: 32768, Frame: frame.None}
	ack.Options.Clear()
	ack.HasTS = true
	ack.Seq = x.rcv.nxt
	b.ReportAllocs()
	b.SetBytes(1448)
	b.ResetTimer()
	for i := 0; i < b.N; i += 32 {
		now += clock.Time(time.Millisecond)
		x.core.BeginBatch(now)
		x.Write(payload)
		n := 0
		for x.Output(now, &o) {
			if n++; n%2 != 0 {
				continue
			}
			ack.Ack, ack.TSVal, ack.TSEcr = o.Seq.Add(o.Len), y.tsValue(now), o.TSVal
			f := x.core.Pool.Alloc()
			m := x.core.Pool.Meta(f)
			m.Off, m.Len = 34, uint32(ack.Marshal(x.core.Pool.Chunk(f)[34:], 80, 40000))
			x.Enqueue(f)
		}
		x.Process(now)
		x.TakeEvents()
	}
	if x.snd.una != x.snd.nxt {
		b.Fatal("not everything was acknowledged")
	}
}

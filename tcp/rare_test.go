package tcp

import (
	"testing"
	"time"
	"unsafe"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// TestConnSize bounds what a connection takes: a million pay for each byte.
func TestConnSize(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 416 {
		t.Errorf("a connection takes %d bytes", n)
	}
	if n := unsafe.Sizeof(rare{}); n > 256 {
		t.Errorf("what only some need takes %d bytes", n)
	}
}

// TestRareComesAndGoes has a hole come and be filled, again and again: the record that it is noted in is given back each time, and
// nothing is allocated for it.
func TestRareComesAndGoes(t *testing.T) {
	k := newHarnessCore(t, 256, Config{})
	now := clock.Time(time.Hour)
	k.BeginBatch(now)
	var c Conn
	c.Accept(k, &Accepted{Flow: flowA, IRS: 99, ISS: 999, RcvWnd: 65535, MSS: 1460, SACKPermitted: true}, nil, now)
	o := OutSegment{Seq: 100, Ack: 1000, Flags: FlagACK, Window: 65535, Frame: frame.None}
	o.Options.Clear()
	packet := make([]byte, o.HeaderLen()+100)
	var out OutSegment
	give := func(seq Seq) {
		o.Seq = seq
		o.Marshal(packet, c.flow.RemotePort, c.flow.LocalPort)
		if !inject(&c, packet) {
			t.Fatal("the pool is empty")
		}
		k.BeginBatch(now)
		c.Process(now)
		for c.Output(now, &out) {
		}
	}
	next := Seq(100)
	flap := func() {
		give(next + 100)
		if !c.hasHole() {
			t.Fatal("there is no hole")
		}
		give(next)
		give(next + 200)
		next += 300
		for f := c.Recv(); f != frame.None; f = c.Recv() {
			c.Consumed(k.Pool.Meta(f).Len)
			k.Pool.Release(f)
		}
		if c.hasRare() {
			t.Fatal("a connection without a hole keeps a record")
		}
	}
	flap()
	if n := testing.AllocsPerRun(100, flap); n != 0 {
		t.Errorf("%v allocations", n)
	}
	c.Release()
	if err := checkPool(k); err != nil {
		t.Error(err)
	}
}

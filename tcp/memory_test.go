package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// TestHolesLeaveFramesForOthers has many connections receive segments behind a hole, a byte in each, which fills a frame each: all of them
// together leave enough of the pool for another connection to send and to receive, and what they are refused is counted.
func TestHolesLeaveFramesForOthers(t *testing.T) {
	const frames, attackers, segments = 1024, 64, 100
	k := newHarnessCore(t, frames, Config{})
	now := clock.Time(time.Hour)
	k.BeginBatch(now)
	conns := make([]Conn, attackers+1)
	for i := range conns {
		f := flowA
		f.RemotePort += uint16(i)
		conns[i].Accept(k, &Accepted{Flow: f, IRS: 99, ISS: 999, RcvWnd: 65535, MSS: 1460}, nil, now)
		receive(t, &conns[i], now, 100, 0)
	}
	kept := 0
	for i := range segments {
		for c := range attackers {
			receive(t, &conns[c], now, 102+2*Seq(i), 1)
		}
	}
	for c := range attackers {
		kept += conns[c].Info().OutOfOrder
	}
	if free := k.Pool.Free(); free < frames/8-1 || kept+free > frames {
		t.Errorf("%d frames are free, %d are kept out of order", free, kept)
	}
	if st := &k.Stats; st.OutOfOrder != uint64(kept) || st.DropOutOfOrderFull != attackers*segments-uint64(kept) {
		t.Errorf("%d are kept, %d counted; %d counted as dropped", kept, st.OutOfOrder, st.DropOutOfOrderFull)
	}
	honest := &conns[attackers]
	if n := honest.Write(make([]byte, 40*1460)); n < 10*1460 {
		t.Errorf("another connection can write %d bytes only", n)
	}
	for i := range Seq(20) {
		receive(t, honest, now, 100+i*1000, 1000)
		consume(honest)
	}
	if got := honest.Info(); got.Unacked != 10*1460 || uint32(honest.rcv.nxt) != 100+20_000 {
		t.Errorf("another connection has sent %d bytes and received %d", got.Unacked, honest.rcv.nxt-100)
	}
	for i := range conns {
		conns[i].Release()
	}
	if err := checkPool(k); err != nil {
		t.Error(err)
	}
}

// receive gives a connection one segment and takes what it sends.
func receive(t *testing.T, c *Conn, now clock.Time, seq Seq, n int) {
	t.Helper()
	o := OutSegment{Seq: seq, Ack: 1000, Flags: FlagACK, Window: 65535, Frame: frame.None}
	o.Options.Clear()
	b := make([]byte, o.HeaderLen()+n)
	o.Marshal(b, c.flow.RemotePort, c.flow.LocalPort)
	if !inject(c, b) {
		t.Fatal("the pool is empty")
	}
	c.core.BeginBatch(now)
	c.Process(now)
	for c.Output(now, &o) {
	}
}

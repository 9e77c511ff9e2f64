package tcp

import (
	"math"
	"testing"
)

// dctcpWindow acknowledges a window of n segments, of which the first marked ones were marked, and returns the sequence number after it.
// The ACKs go to the congestion control as a connection's do.
func dctcpWindow(c *Congestion, una Seq, n, marked int) Seq {
	end := una.Add(uint32(n) * c.mss)
	c.OnSent(uint32(n)*c.mss, una, end)
	reduced := false
	for i := range n {
		una = una.Add(c.mss)
		a := Ack{Acked: c.mss, Una: una, Nxt: end.Add(uint32(i+1) * c.mss), Marked: i < marked}
		c.OnAck(&a)
		if a.Marked && !reduced {
			reduced = true
			c.OnECE(&Loss{InFlight: uint32(n) * c.mss, Una: una, Nxt: a.Nxt})
		}
	}
	return una
}

// TestDCTCPAlpha has the estimate approach the share that is marked, by a sixteenth of the distance with each window.
func TestDCTCPAlpha(t *testing.T) {
	for _, share := range []int{0, 5, 10, 20} { // of 20
		c := &Congestion{}
		c.Init(DCTCP, 1000, 20)
		una := Seq(1<<32 - 100_000)
		want := 1.0
		for i := range 100 {
			una = dctcpWindow(c, una, 20, share)
			if i > 0 { // The first window is cut short: where it ends was not known before.
				want += (float64(share)/20 - want) / 16
			}
		}
		got := float64(c.dctcp().alpha) / dctcpOne
		if math.Abs(got-want) > 0.02 {
			t.Errorf("%d of 20 marked: alpha is %.4f, want about %.4f", share, got, want)
		}
	}
}

// TestDCTCPReduction has a mark cost half of alpha, and a loss half of the window.
func TestDCTCPReduction(t *testing.T) {
	c := &Congestion{}
	c.Init(DCTCP, 1000, 100)
	c.OnSent(100_000, 1, 100_001)
	c.dctcp().alpha = dctcpOne / 4
	c.OnECE(&Loss{InFlight: 100_000})
	if c.Window() != 87_500 || c.Ssthresh() != 87_500 {
		t.Errorf("window %d, threshold %d after a mark, want 87500", c.Window(), c.Ssthresh())
	}
	c.OnLoss(&Loss{InFlight: 87_500})
	if c.Window() != 43_750 {
		t.Errorf("window %d after a loss, want 43750", c.Window())
	}
	c.OnSpurious()
	if c.Window() != 87_500 {
		t.Errorf("window %d after that was none, want 87500", c.Window())
	}
	for range 100 {
		c.OnECE(&Loss{InFlight: c.Window()})
	}
	if c.Window() != 2000 {
		t.Errorf("window %d after many marks, want two segments", c.Window())
	}
}

// TestDCTCPBatch has a batch acknowledged up to each change of the marks (RFC 8257 section 3.2), and CWR change nothing.
func TestDCTCPBatch(t *testing.T) {
	s := ecnScript(t, scriptOptions{cfg: Config{Congestion: "dctcp"}})
	data := func(i uint32, f Flags, ce bool) seg {
		return seg{flags: fA | f, seq: 1 + 1000*i, ack: 1, len: 1000, ce: ce}
	}
	s.batch(data(0, 0, false), data(1, 0, false), data(2, 0, true), data(3, fW, true), data(4, 0, false), data(5, 0, true))
	s.want(seg{flags: fA, seq: 1, ack: 2001})
	s.want(seg{flags: fA | fE, seq: 1, ack: 4001})
	s.want(seg{flags: fA, seq: 1, ack: 5001})
	if o := s.want(seg{flags: fA | fE, seq: 1, ack: 6001}); o.ECN != ECT0 {
		t.Errorf("the ACK has %d in its ECN field", o.ECN)
	}
	s.wantNothing()
	// An ACK without payload says nothing about the marks of data.
	s.batch(data(6, 0, true), seg{flags: fA, seq: 7001, ack: 1}, data(7, 0, true))
	s.want(seg{flags: fA | fE, seq: 1, ack: 8001})
	s.wantNothing()
}

// TestDCTCPDelayedACK has an ACK that waits go out before one that tells of the first mark, and the other way around, when the segments come
// in batches of their own (RFC 8257 section 3.2).
func TestDCTCPDelayedACK(t *testing.T) {
	s := ecnScript(t, scriptOptions{cfg: Config{Congestion: "dctcp"}})
	data := func(i uint32, ce bool) seg { return seg{flags: fA, seq: 1 + 1000*i, ack: 1, len: 1000, ce: ce} }
	s.batch(data(0, false))
	s.wantNothing()
	s.batch(data(1, true))
	s.want(seg{flags: fA, seq: 1, ack: 1001})
	s.want(seg{flags: fA | fE, seq: 1, ack: 2001})
	s.batch(data(2, true))
	s.wantNothing()
	s.batch(data(3, false))
	s.want(seg{flags: fA | fE, seq: 1, ack: 3001})
	s.want(seg{flags: fA, seq: 1, ack: 4001})
	s.wantNothing()
}

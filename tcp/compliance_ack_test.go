package tcp

import (
	"testing"
	"time"
)

// TestNoACKLoop has two ends disagree about the numbers so that each takes the other's ACKs to be unacceptable. Each of them is to be
// answered with an ACK (RFC 9293 section 3.10.7.4), which would keep both busy for ever: the answers come at a limited rate.
func TestNoACKLoop(t *testing.T) {
	for _, c := range []struct {
		name string
		ts   bool
		in   seg
	}{
		{"before the window", false, seg{flags: fA, seq: 1<<32 - 5000, ack: 1}},
		{"beyond the window", false, seg{flags: fA, seq: 1 << 30, ack: 1}},
		{"acknowledges what was not sent", false, seg{flags: fA, seq: 1, ack: 5000}},
		{"old timestamp", true, seg{flags: fA, seq: 1, ack: 1, tsVal: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := established(t, scriptOptions{ts: c.ts})
			if c.ts {
				s.tsBase = 1 << 20
				s.now = s.now.Add(time.Second)
				s.inject(seg{flags: fA, seq: 1, ack: 1, tsVal: 1 << 20})
				s.drain(1)
			}
			answers := 0
			for range 5000 { // a round trip of 1 ms, for 5 s
				s.inject(c.in)
				answers += s.drain(1)
				s.advance(ms)
			}
			if answers < 9 || answers > 11 {
				t.Errorf("%d ACKs answered in 5 s, want one in each 500 ms", answers)
			}
			s.inject(seg{flags: fA, seq: 1, ack: 1, len: 10})
			s.wantRead(10)
		})
	}
}

// TestDataOutsideIsAlwaysAnswered has what carries data answered each time, or its sender would have to wait for the next
// retransmission; and keep-alive probes, bare or with a byte, at any sensible interval (RFC 9293 section 3.8.4).
func TestDataOutsideIsAlwaysAnswered(t *testing.T) {
	s := established(t, scriptOptions{})
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000})
	s.wantRead(1000)
	s.drain(1)
	s.advance(time.Second)
	s.drain(1)
	for range 20 {
		s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000})
		s.want(seg{flags: fA, seq: 1, ack: 1001})
	}
	for _, n := range []uint32{0, 1} {
		for range 20 {
			s.advance(time.Second)
			s.drain(1)
			s.inject(seg{flags: fA, seq: 1000, ack: 1, len: n})
			s.want(seg{flags: fA, seq: 1, ack: 1001})
		}
	}
}

package tcp

import (
	"testing"
	"time"
)

// TestWindowDoesNotCreep has a peer fill the buffer of an application that does not read, in segments that are no multiple of the
// window's unit. Rounding up each window that is sent would move the edge with each of them and never close the window.
func TestWindowDoesNotCreep(t *testing.T) {
	for _, size := range []uint32{1, 100, 1400} {
		const buffer = 100_000
		s := established(t, scriptOptions{wscale: 7, cfg: Config{DelayedACK: -1, RecvBuffer: buffer}})
		s.c.rcv.scale = 7
		for at := uint32(1); at < 3*buffer && s.c.Info().RecvWindow != 0; {
			n := min(size, s.c.Info().RecvWindow)
			s.inject(seg{flags: fA, seq: at, ack: 1, len: n})
			if got := s.drain(1); got != 1 {
				t.Fatalf("%d ACKs", got)
			}
			at += n
		}
		// The window that was first offered, and later every one, is what the buffer has room for.
		if got := s.c.Info().Unread; got > buffer {
			t.Errorf("segments of %d bytes: %d are unread in a buffer of %d", size, got, buffer)
		}
		s.inject(seg{flags: fA, seq: s.c.Info().Unread + 1, ack: 1, len: 1})
		if o, ok := s.pull(); !ok || o.Window != 0 {
			t.Errorf("segments of %d bytes: the window is not closed at last", size)
		}
	}
}

// TestSmallerSegmentsAreAcknowledged has a peer go on with smaller segments, as after a message of a router, and few of them in flight: of
// those, too, every second one or so is acknowledged without delay (RFC 9293 section 3.8.6.3).
func TestSmallerSegmentsAreAcknowledged(t *testing.T) {
	s := established(t, scriptOptions{})
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1460}, seg{flags: fA, seq: 1461, ack: 1, len: 1460})
	s.want(seg{flags: fA, seq: 1, ack: 2921})
	s.wantRead(2920)
	at := uint32(2921)
	flight := func() {
		s.inject(seg{flags: fA, seq: at, ack: 1, len: 536}, seg{flags: fA, seq: at + 536, ack: 1, len: 536}, seg{flags: fA, seq: at + 1072, ack: 1, len: 536})
		at += 3 * 536
	}
	flight()
	s.wantNothing()
	s.wantTimer(40 * time.Millisecond)
	s.expire()
	s.want(seg{flags: fA, seq: 1, ack: at})
	for range 3 {
		flight()
		s.want(seg{flags: fA, seq: 1, ack: at})
		s.wantNothing()
	}
}

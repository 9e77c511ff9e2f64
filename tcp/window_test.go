package tcp

import "testing"

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

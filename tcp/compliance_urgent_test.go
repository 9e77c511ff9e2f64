package tcp

import (
	"testing"
	"time"
)

// injectURG gives the connection a segment with an urgent pointer, relative to the segment's number.
func (s *script) injectURG(g seg, pointer uint16) {
	s.t.Helper()
	g.flags |= FlagURG
	s.urgent = pointer
	s.inject(g)
	s.urgent = 0
}

// TestUrgentReceived has the application be told of urgent data when it is announced and when there is more of it (MUST-32), and learn
// how much of it is left (MUST-33). The data stays in line.
func TestUrgentReceived(t *testing.T) {
	s := established(t, wraps)
	s.wantEvents(EventEstablished)
	s.injectURG(seg{flags: fA, seq: 1, ack: 1, len: 100}, 50)
	s.wantEvents(EventReadable | EventUrgent)
	s.wantUrgent(50)
	s.injectURG(seg{flags: fA, seq: 1, ack: 1, len: 100}, 60) // an old segment
	s.wantEvents(0)
	s.wantUrgent(50)
	s.injectURG(seg{flags: fA, seq: 101, ack: 1}, 1000) // it advances, beyond what has arrived
	s.wantEvents(EventUrgent)
	s.wantUrgent(1100)
	s.wantRead(100)
	s.wantUrgent(1000)
	s.inject(seg{flags: fA, seq: 101, ack: 1, len: 1200})
	s.wantEvents(EventReadable)
	s.wantRead(1200)
	s.wantUrgent(0)
	s.injectURG(seg{flags: fA, seq: 1301, ack: 1, len: 10}, 0) // nothing is urgent about it
	s.wantEvents(EventReadable)
	s.wantUrgent(0)
	s.wantRead(10)
}

func (s *script) wantUrgent(n uint32) {
	s.t.Helper()
	if got := s.c.Urgent(); got != n {
		s.t.Fatalf("%d bytes until the end of urgent data, want %d", got, n)
	}
}

// TestUrgentLater has urgent data after so much of the stream that the numbers have gone half around: an old pointer must not hide it.
func TestUrgentLater(t *testing.T) {
	s := established(t, scriptOptions{})
	s.injectURG(seg{flags: fA, seq: 1, ack: 1, len: 10}, 10)
	s.wantRead(10)
	s.wantUrgent(0)
	for _, p := range []*Seq{&s.c.rcv.nxt, &s.c.rcv.read, &s.c.rcv.acked, &s.c.rcv.adv, &s.c.snd.wl1} {
		*p += 1<<31 + 5
	}
	s.events = 0
	s.injectURG(seg{flags: fA, seq: 11 + 1<<31 + 5, ack: 1, len: 10}, 10)
	s.wantEvents(EventReadable | EventUrgent)
	s.wantUrgent(10)
}

// TestUrgentWithClosedWindow has the urgent pointer be taken while the window is closed, and a reset too (MUST-66).
func TestUrgentWithClosedWindow(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{RecvBuffer: 4 * 1460}})
	at := uint32(1)
	for range 4 {
		s.inject(seg{flags: fA, seq: at, ack: 1, len: 1460})
		at += 1460
	}
	s.drain(4)
	if w := s.c.Info().RecvWindow; w != 0 {
		t.Fatalf("the window is %d, want it closed", w)
	}
	s.events = 0
	s.injectURG(seg{flags: fA, seq: at, ack: 1, len: 100}, 100)
	s.wantEvents(EventUrgent)
	s.want(seg{flags: fA, seq: 1, ack: at, closed: true})
	s.wantUrgent(4*1460 + 100)
	s.inject(seg{flags: FlagRST, seq: at})
	s.wantState(StateClosed)
}

// TestUrgentSent has every segment before the end of urgent data carry a pointer to the byte after it (MUST-62), however much of it
// there is (MUST-31), until it is acknowledged.
func TestUrgentSent(t *testing.T) {
	s := established(t, scriptOptions{iss: 1<<32 - 1000, cfg: Config{InitialWindow: 100, NoDelay: true}, wscale: 4})
	s.write(1460)
	if n := s.c.WriteUrgent(patternAt(1461, 70_000)); n != 70_000 {
		t.Fatalf("WriteUrgent took %d bytes", n)
	}
	s.wrote += 70_000
	const up = 1 + 1460 + 70_000
	at := uint32(1)
	for at < up {
		n := min(1460, up-at)
		o := s.want(seg{flags: fA | FlagURG, seq: at, ack: 1, len: n})
		if want := uint16(min(up-at, 65535)); o.Urgent != want {
			t.Fatalf("the pointer of the segment at %d is %d, want %d", at, o.Urgent, want)
		}
		at += n
	}
	s.write(100)
	s.want(seg{flags: fA, seq: up, ack: 1, len: 100}) // It begins after the urgent data.
	s.advance(time.Second)
	if o := s.want(seg{flags: fA | FlagURG, seq: 1, ack: 1, len: 1460}); o.Urgent != 65535 {
		t.Errorf("the pointer of the first segment, sent again, is %d", o.Urgent)
	}
	s.inject(seg{flags: fA, seq: 1, ack: up, wnd: 65535 << 4})
	s.drain(1)
	s.inject(seg{flags: fA, seq: 1, ack: up + 100, wnd: 65535 << 4})
	s.write(10)
	s.want(seg{flags: fA, seq: up + 100, ack: 1, len: 10})
}

// patternAt is n bytes of either stream from a relative place on.
func patternAt(at, n uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = pattern(at + uint32(i))
	}
	return b
}

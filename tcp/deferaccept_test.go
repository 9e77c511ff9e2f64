package tcp

import (
	"testing"
	"time"
)

// TestDeferAccept rounds the time up to one at which a SYN-ACK is sent again, and has no round trip measured by data that the
// application of the peer was late with.
func TestDeferAccept(t *testing.T) {
	for d, want := range map[time.Duration]uint8{
		0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, 3 * time.Second: 2, 30 * time.Second: 5, 31 * time.Second: 5, time.Hour: 5,
	} {
		if got := deferRounds(d); got != want {
			t.Errorf("%v: %d SYN-ACKs, want %d", d, got, want)
		}
	}
	l, err := NewListener(newTestCore(t, Config{DeferAccept: 3 * time.Second}), ListenerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := &handshakePeer{t: t, l: l, now: 1000 * second}
	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	synAck := p.out
	p.want("ACK", testFlow, ack(&synAck), VerdictDrop)
	for range 2 {
		p.now = l.Deadline()
		sent := false
		for f := testFlow; l.NextOutput(p.now, &f, &p.out); {
			sent = true
		}
		if last := p.now == 1003*second; sent != last {
			t.Errorf("at %v SYN-ACK sent again: %v", time.Duration(p.now), sent)
		}
	}
	p.want("ACK when the time is over", testFlow, ack(&synAck), VerdictAccept)
	if a := l.Accepted(); a.SentAt != 0 || a.SYNLost || l.stats().DeferredAcks != 1 {
		t.Errorf("accepted %+v, counters %+v", a, l.stats())
	}
}

// TestDeferAcceptLostSYNACK has a SYN-ACK that was lost make the initial window one segment (RFC 5681 section 3.1), although the ACK of the
// next was kept back; one that only asks for data, when the time is over, was not lost.
func TestDeferAcceptLostSYNACK(t *testing.T) {
	for _, lost := range []bool{false, true} {
		l, err := NewListener(newTestCore(t, Config{DeferAccept: 7 * time.Second}), ListenerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p := &handshakePeer{t: t, l: l, now: 1000 * second}
		p.want("SYN", testFlow, syn(clientISS), VerdictReply)
		if lost {
			p.now = l.Deadline()
			if f := testFlow; !l.NextOutput(p.now, &f, &p.out) {
				t.Fatal("the SYN-ACK is not sent again")
			}
		}
		answer := ack(&p.out)
		p.want("ACK", testFlow, answer, VerdictDrop)
		for f := testFlow; !l.NextOutput(p.now, &f, &p.out); {
			p.now = l.Deadline()
		}
		p.want("ACK again", testFlow, answer, VerdictAccept)
		if a := l.Accepted(); a.SYNLost != lost || a.SentAt != 0 {
			t.Errorf("a SYN-ACK was lost: %v; accepted %+v", lost, a)
		}
	}
}

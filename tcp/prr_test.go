package tcp

import "testing"

// losing is a connection with n segments in flight, of which the first lost are missing and the others are reported by SACK one by
// one. after is told how many segments each of those ACKs let out, beginning with the one that began the recovery.
func losing(t *testing.T, n, lost uint32, after func(ack int, sent int)) *script {
	t.Helper()
	s := established(t, scriptOptions{iss: 1<<32 - 5000, mss: 1000, sack: true, cfg: Config{InitialWindow: n}})
	s.write(40_000)
	s.wantData(1, n*1000+1, 1000, 1)
	s.advance(10 * ms)
	ack := 0
	for i := lost + 1; i <= n; i++ {
		s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{Seq(lost*1000 + 1), Seq(i*1000 + 1)}}})
		sent := s.drain(int(n))
		if s.c.Info().Recovery == "recovery" {
			after(ack, sent)
			ack++
		}
	}
	return s
}

// TestRecoverySendsEvenly has a recovery from one loss send at most one segment for each that arrives, at least one for three, from the beginning on,
// and end with half the window in flight (RFC 6937 section 3).
func TestRecoverySendsEvenly(t *testing.T) {
	silent, sent := 0, 0
	s := losing(t, 20, 1, func(ack, n int) {
		if n > 1 {
			t.Errorf("ACK %d of the recovery lets out %d segments", ack, n)
		}
		if silent++; n != 0 {
			silent = 0
		}
		if silent > 2 {
			t.Errorf("ACK %d is the %dth that lets nothing out", ack, silent)
		}
		sent += n
	})
	if i := s.c.Info(); i.InFlight < i.SSThresh-2000 || i.InFlight > i.SSThresh {
		t.Errorf("%d bytes are in flight at the end, %d are wanted", i.InFlight, i.SSThresh)
	}
	s.inject(seg{flags: fA, seq: 1, ack: uint32(s.c.snd.nxt - s.iss)})
	if i := s.c.Info(); i.Recovery != "open" || i.CWnd != i.SSThresh {
		t.Errorf("%+v", i)
	}
}

// TestRecoveryFromHeavyLossIsNoBurst has a recovery that finds most of the window lost send no more than arrives.
func TestRecoveryFromHeavyLossIsNoBurst(t *testing.T) {
	s := losing(t, 20, 14, func(ack, n int) {
		if n > 1 && ack > 0 || n > 3 {
			t.Errorf("ACK %d of the recovery lets out %d segments", ack, n)
		}
	})
	// Then each ACK that advances lets out what arrived and one more, until the window is reached.
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{14_001, 20_001}}})
	if n := s.drain(20); n != 2 {
		t.Errorf("the ACK of one segment lets out %d, want 2", n)
	}
	for range 20 {
		s.advance(10 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: uint32(s.c.snd.nxt - s.iss)})
		s.drain(20)
	}
	if i := s.c.Info(); i.Recovery != "open" || i.Unacked != 0 || s.k.Stats.Timeouts != 0 {
		t.Errorf("%+v", i)
	}
}

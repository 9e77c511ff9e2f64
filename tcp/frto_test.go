package tcp

import "testing"

// timedOut is a connection without timestamps whose ten segments, a whole window, are outstanding when the timer expires; more data waits
// behind them. The first of them has been sent again.
func timedOut(t *testing.T, sack bool) *script {
	t.Helper()
	o := noSACK
	o.sack = sack
	s := established(t, o)
	s.write(20_000)
	s.wantData(1, 10_001, 1000, 1)
	s.c.snd.probe = probeNew // a tail loss probe would come first and take new data
	s.c.timers.loss = s.c.timers.rtx + 1
	s.expire()
	s.c.snd.probe = probeNone
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	return s
}

// TestForwardSpurious has a timeout be taken back when what counted as lost arrives after all: between the ACKs two new segments go out,
// and nothing but the first is sent again (RFC 5682).
func TestForwardSpurious(t *testing.T) {
	for i, all := range []uint32{2001, 2001, 10_001, 11_001} { // what the second ACK acknowledges
		s := timedOut(t, i&1 != 0)
		s.advance(ms)
		s.inject(seg{flags: fA, seq: 1, ack: 1001})
		s.wantData(10_001, 12_001, 1000, 1)
		s.wantNothing()
		if i := s.c.Info(); i.Recovery != "loss" || s.k.Stats.SpuriousTimeouts != 0 {
			t.Errorf("it is decided by one ACK: %+v", i)
		}
		s.advance(ms)
		s.inject(seg{flags: fA, seq: 1, ack: all})
		if i := s.c.Info(); i.Recovery != "open" || i.CWnd < 10_000 || i.SSThresh != infSsthresh || s.c.snd.lost != 0 {
			t.Errorf("%+v", i)
		}
		s.drain(10)
		for at := all + 1000; at <= 10_001; at += 1000 {
			s.advance(ms)
			s.inject(seg{flags: fA, seq: 1, ack: at})
			s.drain(3)
		}
		s.inject(seg{flags: fA, seq: 1, ack: max(all, 10_001)}) // of what was sent again
		s.wantNothing()
		if st := s.k.Stats; st.Timeouts != 1 || st.SpuriousTimeouts != 1 || st.Retransmits != 1 || st.FastRecoveries != 0 {
			t.Errorf("%+v", st)
		}
	}
}

// TestForwardLoss has a timeout stand when the new data causes a duplicate ACK, and the conventional recovery go on.
func TestForwardLoss(t *testing.T) {
	for _, sack := range []bool{false, true} {
		s := timedOut(t, sack)
		s.advance(10 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: 1001})
		s.wantData(10_001, 12_001, 1000, 1)
		s.wantNothing()
		s.advance(10 * ms)
		dup := seg{flags: fA, seq: 1, ack: 1001}
		if sack {
			dup.sack = []SACKBlock{{10_001, 11_001}}
		}
		s.inject(dup)
		s.want(seg{flags: fA, seq: 1001, len: 1000, ack: 1})
		if i := s.c.Info(); i.Recovery != "loss" || i.CWnd != 2000 || s.k.Stats.SpuriousTimeouts != 0 {
			t.Errorf("%+v", i)
		}
		if sack {
			dup.sack = []SACKBlock{{10_001, 12_001}}
		}
		s.inject(dup)
		s.want(seg{flags: fA, seq: 2001, len: 1000, ack: 1})
		for at := uint32(2001); at <= 10_001; at += 1000 {
			s.advance(5 * ms)
			s.inject(seg{flags: fA, seq: 1, ack: at})
			s.drain(10)
		}
		s.inject(seg{flags: fA, seq: 1, ack: 12_001})
		if i := s.c.Info(); i.Recovery != "open" || s.k.Stats.Timeouts != 1 || s.k.Stats.SpuriousTimeouts != 0 {
			t.Errorf("%+v", i)
		}
	}
}

// TestForwardBySACK has the second decision come from a SACK block: of what counts as lost it shows a spurious timeout, of new data a loss.
func TestForwardBySACK(t *testing.T) {
	for _, c := range []struct {
		block    SACKBlock
		spurious uint64
	}{{SACKBlock{5001, 6001}, 1}, {SACKBlock{10_001, 11_001}, 0}} {
		s := timedOut(t, true)
		s.inject(seg{flags: fA, seq: 1, ack: 1001})
		s.wantData(10_001, 12_001, 1000, 1)
		s.inject(seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{c.block}})
		if got := s.k.Stats.SpuriousTimeouts; got != c.spurious {
			t.Errorf("block %v: %d spurious timeouts, want %d", c.block, got, c.spurious)
		}
		if err := checkInvariants(s.c); err != nil {
			t.Error(err)
		}
	}
	// On the first ACK it shows nothing: the peer may have had that for long, and its reports were lost.
	s := timedOut(t, true)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{2001, 10_001}}})
	if i := s.c.Info(); s.k.Stats.SpuriousTimeouts != 0 || i.Recovery != "loss" {
		t.Errorf("%+v", i)
	}
}

// TestForwardNotTried has the conventional recovery follow a timeout at once where new data cannot help to decide: there is none, the
// peer's window takes none, only a part of what was sent again is acknowledged, or all is.
func TestForwardNotTried(t *testing.T) {
	t.Run("no new data", func(t *testing.T) {
		s := established(t, noSACK)
		s.write(5000)
		s.wantData(1, 5001, 1000, 1)
		s.expire()
		s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
		s.inject(seg{flags: fA, seq: 1, ack: 1001})
		s.wantData(1001, 3001, 1000, 1)
		s.inject(seg{flags: fA, seq: 1, ack: 2001})
		if s.k.Stats.SpuriousTimeouts != 0 {
			t.Error("what was sent again is taken for the original")
		}
	})
	t.Run("closed window", func(t *testing.T) {
		s := timedOut(t, false)
		s.inject(seg{flags: fA, seq: 1, ack: 1001, wnd: 9000})
		s.wantData(1001, 3001, 1000, 1)
	})
	t.Run("part", func(t *testing.T) {
		s := timedOut(t, false)
		s.inject(seg{flags: fA, seq: 1, ack: 501})
		s.want(seg{flags: fA, seq: 1001, len: 1000, ack: 1})
	})
	t.Run("all", func(t *testing.T) {
		s := timedOut(t, false)
		s.inject(seg{flags: fA, seq: 1, ack: 10_001})
		s.wantData(10_001, 12_001, 1000, 1) // in slow start: the ACK of a window is worth one segment
		if i := s.c.Info(); i.Recovery != "open" || s.k.Stats.SpuriousTimeouts != 0 {
			t.Errorf("%+v", i)
		}
	})
}

// TestForwardAgain has the decision be tried when the same segment timed out again, but not when something else timed out in a recovery
// that had gone on.
func TestForwardAgain(t *testing.T) {
	s := timedOut(t, false)
	s.expire()
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	s.wantData(10_001, 12_001, 1000, 1)
	s.inject(seg{flags: fA, seq: 1, ack: 2001})
	if i := s.c.Info(); i.Recovery != "open" || i.CWnd < 10_000 || s.k.Stats.SpuriousTimeouts != 1 {
		t.Errorf("%+v", i)
	}

	s = timedOut(t, false)
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	s.wantData(10_001, 12_001, 1000, 1)
	s.expire()
	s.want(seg{flags: fA, seq: 1001, len: 1000, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 2001})
	s.wantData(2001, 4001, 1000, 1)
	s.inject(seg{flags: fA, seq: 1, ack: 3001})
	if i := s.c.Info(); i.Recovery != "loss" || s.k.Stats.SpuriousTimeouts != 0 {
		t.Errorf("%+v", i)
	}
}

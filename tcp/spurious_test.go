package tcp

import "testing"

// timely is a connection with timestamps and full segments of 988 bytes.
func timely(t *testing.T) *script {
	t.Helper()
	o := sends
	o.ts = true
	return established(t, o)
}

// TestSpuriousTimeout has a timeout be taken back when the ACK echoes the original: nothing else is sent again.
func TestSpuriousTimeout(t *testing.T) {
	s := timely(t)
	s.write(5 * 988)
	s.wantData(1, 4941, 988, 1)
	echo := s.c.tsValue(s.now)
	s.expire()
	s.want(seg{flags: fA, seq: 3953, len: 988, ack: 1}) // the tail loss probe: not what Eifel is about
	s.inject(seg{flags: fA, seq: 1, ack: 4941, tsEcr: echo})
	s.write(5 * 988)
	s.wantData(4941, 9881, 988, 1)
	echo = s.c.tsValue(s.now)
	s.expire() // no probe while the first is not answered
	s.want(seg{flags: fA, seq: 4941, len: 988, ack: 1})
	s.wantNothing()
	s.advance(5 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 5929, tsEcr: echo})
	s.wantNothing()
	i, st := s.c.Info(), s.k.Stats
	if i.Recovery != "open" || i.InFlight != 4*988 || i.CWnd < 10*988 || i.SSThresh != infSsthresh {
		t.Errorf("%+v", i)
	}
	if st.Timeouts != 1 || st.SpuriousTimeouts != 1 || st.Retransmits != 2 {
		t.Errorf("%+v", st)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 9881, tsEcr: echo})
	if i := s.c.Info(); i.Unacked != 0 {
		t.Errorf("%+v", i)
	}
}

// TestTimeoutThatWasRight has a timeout stand when the ACK echoes the retransmission, or when it may be a probe's.
func TestTimeoutThatWasRight(t *testing.T) {
	for _, probed := range []bool{false, true} {
		s := timely(t)
		s.write(5 * 988)
		s.wantData(1, 4941, 988, 1)
		s.expire()
		s.want(seg{flags: fA, seq: 3953, len: 988, ack: 1})
		echo := s.c.tsValue(s.now)
		s.expire()
		s.want(seg{flags: fA, seq: 1, len: 988, ack: 1})
		if !probed {
			echo = s.c.tsValue(s.now)
		}
		s.advance(5 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: 989, tsEcr: echo})
		if i := s.c.Info(); i.Recovery != "loss" || i.CWnd > 2*988 || s.k.Stats.SpuriousTimeouts != 0 {
			t.Errorf("%+v", i)
		}
	}
}

// TestSpuriousRecovery has a fast recovery be taken back when what was late arrives after all.
func TestSpuriousRecovery(t *testing.T) {
	s := timely(t)
	s.write(10 * 988)
	s.wantData(1, 9881, 988, 1)
	echo := s.c.tsValue(s.now)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{989, 3953}}, tsEcr: echo})
	s.want(seg{flags: fA, seq: 1, len: 988, ack: 1})
	s.wantNothing()
	s.advance(ms)
	s.inject(seg{flags: fA, seq: 1, ack: 3953, tsEcr: echo})
	s.wantNothing()
	i, st := s.c.Info(), s.k.Stats
	if i.Recovery != "open" || i.InFlight != 6*988 || i.CWnd < 10*988 || i.SSThresh != infSsthresh {
		t.Errorf("%+v", i)
	}
	if st.FastRecoveries != 1 || st.SpuriousRecoveries != 1 || !s.c.history().learnt.reordered {
		t.Errorf("%+v", st)
	}
}

// TestRetransmissionOfAnEarlierRecovery has a recovery stand when the first ACK that advances in it is that of a segment that was sent
// again in the recovery before: its timestamp is older than this one's first retransmission, and it is no original's.
func TestRetransmissionOfAnEarlierRecovery(t *testing.T) {
	s := timely(t)
	n := func(i uint32) uint32 { return 1 + 988*i }
	blocks := func(edges ...uint32) (b []SACKBlock) {
		for i := 0; i < len(edges); i += 2 {
			b = append(b, SACKBlock{Seq(n(edges[i])), Seq(n(edges[i+1]))})
		}
		return b
	}
	s.write(60 * 988)
	s.drain(10)
	echo := s.c.tsValue(s.now)
	s.advance(20 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: blocks(1, 10), tsEcr: echo}) // the first of ten is lost
	s.drain(7)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: blocks(11, 15, 1, 10), tsEcr: echo}) // and the first of what was sent in the recovery
	s.drain(6)
	echo = s.c.tsValue(s.now) // the second was sent again
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: n(10), sack: blocks(11, 15), tsEcr: echo}) // the recovery is over
	s.drain(6)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: n(10), sack: blocks(17, 20, 11, 15), tsEcr: echo}) // 16 is lost: another recovery
	s.drain(6)
	before := s.c.Info()
	if before.Recovery != "recovery" || s.k.Stats.FastRecoveries != 2 {
		t.Fatalf("%+v, %+v", before, s.k.Stats)
	}
	s.advance(ms)
	s.inject(seg{flags: fA, seq: 1, ack: n(16), sack: blocks(17, 20), tsEcr: echo}) // 10 has arrived
	if i := s.c.Info(); i.Recovery != "recovery" || i.CWnd != before.CWnd || s.k.Stats.SpuriousRecoveries != 0 {
		t.Errorf("%+v, %d spurious recoveries", i, s.k.Stats.SpuriousRecoveries)
	}
}

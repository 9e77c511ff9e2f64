package tcp

import (
	"testing"
	"time"
)

// inRecovery is a connection whose first segment of n was lost, found by SACK, and sent again after a round trip of 10 ms.
func inRecovery(t *testing.T, n uint32) *script {
	t.Helper()
	s := established(t, sends)
	s.write(int(n) * 1000)
	s.wantData(1, n*1000+1, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1001, Seq(n*1000 + 1)}}})
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	return s
}

// TestRetransmissionLostAgain has the loss of a retransmission be found by what was sent after it and arrived, without a timeout.
func TestRetransmissionLostAgain(t *testing.T) {
	s := inRecovery(t, 6)
	s.advance(ms)
	s.write(1000)
	s.want(seg{flags: fA, seq: 6001, len: 1000, ack: 1})
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1001, 7001}}})
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 7001})
	if st := s.k.Stats; st.LostRetransmits != 1 || st.Timeouts != 0 || st.Retransmits != 2 || st.FastRecoveries != 1 {
		t.Errorf("%+v", st)
	}
}

// TestReorderingIsNoLoss has segments that are overtaken by fewer than three others, for less than a quarter of the round trip, be
// no loss; and once that was seen, being overtaken by many is no loss either (RFC 8985 section 6.2, step 4).
func TestReorderingIsNoLoss(t *testing.T) {
	s := established(t, sends)
	at := uint32(1)
	for round := range 3 {
		s.write(5000)
		s.wantData(at, at+5000, 1000, 1)
		s.advance(10 * ms)
		over := Seq(2000)
		if round > 0 {
			over = 5000
		}
		s.inject(seg{flags: fA, seq: 1, ack: at, sack: []SACKBlock{{Seq(at) + 1000, Seq(at) + over}}})
		s.wantNothing()
		s.wantTimer(2500 * time.Microsecond)
		s.advance(2 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: at + 5000})
		s.wantNothing()
		at += 5000
	}
	if st := s.k.Stats; st.Retransmits != 0 || st.FastRecoveries != 0 || st.ReorderingTimeouts != 0 {
		t.Errorf("%+v", st)
	}
}

// TestReorderingTimer has a segment be sent again when it is overdue although no other ACK comes.
func TestReorderingTimer(t *testing.T) {
	s := established(t, sends)
	s.write(3000)
	s.wantData(1, 3001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{2001, 3001}}})
	s.wantNothing()
	s.wantTimer(2500 * time.Microsecond)
	s.expire()
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{2001, 3001}}})
	s.want(seg{flags: fA, seq: 1001, len: 1000, ack: 1})
	s.wantNothing()
	if st := s.k.Stats; st.ReorderingTimeouts != 1 || st.FastRecoveries != 1 || st.Timeouts != 0 {
		t.Errorf("%+v", st)
	}
}

// TestDSACKWidensTheWindow has a report of something that was sent again for nothing allow for more reordering, once in each round
// trip and never beyond the smoothed round trip.
func TestDSACKWidensTheWindow(t *testing.T) {
	s := inRecovery(t, 6)
	s.inject(seg{flags: fA, seq: 1, ack: 6001})
	for range 3 {
		s.inject(seg{flags: fA, seq: 1, ack: 6001, sack: []SACKBlock{{1, 1001}}})
	}
	s.write(3000)
	s.wantData(6001, 9001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 6001, sack: []SACKBlock{{8001, 9001}}})
	s.wantTimer(5 * ms)
	if got := s.k.Stats.DSACKsIn; got != 3 {
		t.Errorf("%d D-SACKs were seen, want 3", got)
	}
}

// TestSACKWorkIsBounded has blocks that jump through a large window cause no more than a bounded walk for each ACK, and all of what
// they report be known in the end.
func TestSACKWorkIsBounded(t *testing.T) {
	const frames = 4000
	s := established(t, scriptOptions{
		cfg: Config{SendBuffer: 8 << 20, InitialWindow: frames, NoDelay: true}, mss: 1000, wscale: 10, sack: true, frames: 3 * frames,
	})
	s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10})
	s.write(frames * 1000)
	s.wantData(1, frames*1000+1, 1000, 1)
	s.advance(10 * ms)
	for i := range uint32(20) {
		far := frames/2 + 10*(i&1)*30 // the middle, twice: far from the front, the end, and from each other
		b := SACKBlock{Seq(far*1000 + 1), Seq(far*1000 + 1001)}
		s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10, sack: []SACKBlock{b}})
	}
	if st := s.k.Stats; st.SACKLimited == 0 {
		t.Error("no limit was met")
	}
	if s.c.rare().arrived != 2 {
		t.Errorf("%d segments are known to have arrived, want 2", s.c.rare().arrived)
	}
	if err := checkInvariants(s.c); err != nil {
		t.Error(err)
	}
}

// TestSACKWorkGoesOn has a block that reports more at once than one ACK may cause the work for be known in the end, by the ACKs that
// follow: one that grows, and one that is far from every place that is known.
func TestSACKWorkGoesOn(t *testing.T) {
	const n = 4000
	s := longFlight(t, n)
	for i := uint32(1); i <= 1+n/sackWork; i++ {
		s.attack(new(OutSegment), seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10, sack: []SACKBlock{
			{101, Seq(100*n - 400 + 10*i)}, {100*n - 99, 100*n + 1}}})
		if got := s.c.rare().arrived; got > i*sackWork || got < min(i*(sackWork-2), n-4) {
			t.Errorf("after ACK %d, %d segments are known to have arrived, want about %d", i, got, min(i*sackWork, n-4))
		}
	}
	s = longFlight(t, n)
	s.attack(new(OutSegment), seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10, sack: []SACKBlock{{100*n - 99, 100*n + 1}}})
	for range 1 + n/4/sackWork {
		s.attack(new(OutSegment), seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 << 10, sack: []SACKBlock{{75*n + 1, 75*n + 101}}})
	}
	if got := s.c.rare().arrived; got != 2 {
		t.Errorf("%d segments are known to have arrived, want 2", got)
	}
	if err := checkInvariants(s.c); err != nil {
		t.Error(err)
	}
}

// TestTimeoutSparesWhatIsRecent has a timeout take as lost what is overdue, and leave alone what was sent less than a round trip ago
// (RFC 8985 section 6.3); without SACK all of it counts.
func TestTimeoutSparesWhatIsRecent(t *testing.T) {
	for _, o := range []scriptOptions{sends, noSACK} {
		s := established(t, o)
		s.write(2000)
		s.wantData(1, 2001, 1000, 1)
		for o.sack && s.k.Stats.TailProbes == 0 {
			s.expire()
			s.want(seg{flags: fA, seq: 1001, len: 1000, ack: 1})
		}
		s.advance(s.c.Deadline().Sub(s.now) - 5*ms)
		s.write(1000)
		s.want(seg{flags: fA, seq: 2001, len: 1000, ack: 1})
		s.advance(5 * ms)
		s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
		s.wantNothing()
		lost, flight := uint32(1000), uint32(2000)
		if !o.sack {
			lost, flight = 2000, 1000
		}
		if i := s.c.Info(); s.c.snd.lost != lost || i.InFlight != flight || i.Recovery != "loss" {
			t.Errorf("%d bytes count as lost, want %d: %+v", s.c.snd.lost, lost, i)
		}
	}
}

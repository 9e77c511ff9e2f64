package tcp

import "testing"

// TestDSACKIsSent has what is received for the second time be reported once, in the first block of the ACK that it causes: below what
// is acknowledged, in part below it, and above it, where the second block has what it lies in (RFC 2883 section 4).
func TestDSACKIsSent(t *testing.T) {
	s := established(t, scriptOptions{iss: 1<<32 - 5000, irs: 1<<32 - 2000, mss: 1000, sack: true})
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000}, seg{flags: fA, seq: 1001, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 2001})
	s.inject(seg{flags: fA, seq: 501, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 2001, sack: []SACKBlock{{501, 1501}}})
	s.inject(seg{flags: fA, seq: 1501, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 2501, sack: []SACKBlock{{1501, 2001}}})
	s.inject(seg{flags: fA, seq: 3501, ack: 1, len: 1000})
	if o := s.want(seg{flags: fA, seq: 1, ack: 2501, sack: []SACKBlock{{3501, 4501}}}); o.NumSACK != 1 {
		t.Errorf("%d blocks, want one", o.NumSACK)
	}
	s.inject(seg{flags: fA, seq: 4001, ack: 1, len: 300})
	s.want(seg{flags: fA, seq: 1, ack: 2501, sack: []SACKBlock{{4001, 4301}, {3501, 4501}}})
	s.inject(seg{flags: fA, seq: 2501, ack: 1, len: 1000})
	if o := s.want(seg{flags: fA, seq: 1, ack: 4501}); o.NumSACK != 0 {
		t.Errorf("%d blocks, want none", o.NumSACK)
	}
	if got := s.k.Stats.DSACKsOut; got != 3 {
		t.Errorf("%d D-SACKs were sent, want 3", got)
	}
}

// TestDSACKOfOldTimestamp has the original of a segment come after what was sent in its place, so late that its timestamp is older than the
// last one: PAWS drops it, and it is reported like any other duplicate. One that was not received before is only dropped.
func TestDSACKOfOldTimestamp(t *testing.T) {
	s := established(t, scriptOptions{sack: true, ts: true})
	old := s.peerTS()
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000}, seg{flags: fA, seq: 1001, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 2001})
	s.inject(seg{flags: fA, seq: 2001, ack: 1, len: 1000, tsVal: old})
	if o := s.want(seg{flags: fA, seq: 1, ack: 2001}); o.NumSACK != 0 {
		t.Errorf("%d blocks, want none", o.NumSACK)
	}
	s.inject(seg{flags: fA, seq: 1001, ack: 1, len: 1500, tsVal: old})
	s.want(seg{flags: fA, seq: 1, ack: 2001, sack: []SACKBlock{{1001, 2001}}})
	if st := s.k.Stats; st.DropOldTimestamp != 2 || st.DSACKsOut != 1 {
		t.Errorf("%+v", st)
	}
}

// TestNoDSACKWithoutSACK has nothing be reported to a peer that does not take SACK.
func TestNoDSACKWithoutSACK(t *testing.T) {
	s := established(t, noSACK)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000}, seg{flags: fA, seq: 1, ack: 1, len: 1000})
	if o := s.want(seg{flags: fA, seq: 1, ack: 1001}); o.NumSACK != 0 {
		t.Errorf("%d SACK blocks", o.NumSACK)
	}
}

// TestDSACKWithData has the report go with data that carries the ACK, if there is room.
func TestDSACKWithData(t *testing.T) {
	s := established(t, sends)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
	s.write(500)
	s.want(seg{flags: fA, seq: 1, len: 500, ack: 101, sack: []SACKBlock{{1, 101}}})
	s.wantNothing()
}

// TestDSACKWithClosedWindow has a segment come that repeats what was received and goes on beyond a closed window: only what was received
// is a duplicate. A block that reached further would be read as a SACK of what was dropped.
func TestDSACKWithClosedWindow(t *testing.T) {
	s := established(t, scriptOptions{sack: true, cfg: Config{RecvBuffer: 2000}})
	s.inject(seg{flags: fA, seq: 1, len: 1000, ack: 1}, seg{flags: fA, seq: 1001, len: 1000, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 2001})
	s.inject(seg{flags: fA, seq: 1501, len: 1000, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 2001, sack: []SACKBlock{{1501, 2001}}})
}

// TestDSACKSpoofing has reports that something arrived twice, made up by the peer, neither widen the reordering window nor take a
// reduction of the window back; and true ones widen it to no more than the smoothed round trip (RFC 8985 section 6.2, step 4).
func TestDSACKSpoofing(t *testing.T) {
	s := inRecovery(t, 6)
	s.c.needHistory().learnt.reordered = true
	quarter, cwnd := s.c.reorderingWindow(), s.c.Info().CWnd
	for range 300 {
		s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{4001, 5001}, {1001, 6001}}})
		s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1<<32 - 3000, 1}}})
	}
	if w := s.c.reorderingWindow(); w > 2*quarter {
		t.Errorf("one retransmission and %d reports of it made a reordering window of %v", s.k.Stats.DSACKsIn, w)
	}
	if got := s.c.Info(); got.CWnd > cwnd || got.Recovery != "recovery" {
		t.Errorf("the reports ended the recovery: %+v", got)
	}
	if st := s.k.Stats; st.DSACKsIn != 600 || st.DSACKsIgnored != 599 {
		t.Errorf("%d of %d reports were ignored", st.DSACKsIgnored, st.DSACKsIn)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 6001})
	at := uint32(6001)
	for range 40 { // a loss in each round trip, and each time the peer has got all of it twice
		s.write(2000)
		s.drain(10)
		s.advance(10 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: at, sack: []SACKBlock{{Seq(at) + 1000, Seq(at) + 2000}}})
		s.advance(11 * ms) // more than any reordering window
		s.drain(10)
		s.inject(seg{flags: fA, seq: 1, ack: at + 2000, sack: []SACKBlock{{Seq(at), Seq(at) + 1000}}})
		at += 2000
	}
	if w := s.c.reorderingWindow(); w > s.c.rtt.SRTT() || w < 3*quarter {
		t.Errorf("the reordering window is %v, the round trip %v", w, s.c.rtt.SRTT())
	}
}

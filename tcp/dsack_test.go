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

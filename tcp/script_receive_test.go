package tcp

import (
	"testing"
	"time"
)

// wraps has the sequence numbers of both sides wrap within the first segments.
var wraps = scriptOptions{iss: 1<<32 - 1000, irs: 1<<32 - 2000, wscale: 7, sack: true, ts: true}

func TestReceiveAcrossTheWrap(t *testing.T) {
	s := established(t, wraps)
	at := uint32(1)
	for range 50 {
		s.inject(seg{flags: fA, seq: at, ack: 1, len: 700}, seg{flags: fA, seq: at + 700, ack: 1, len: 700})
		at += 1400
		s.wantRead(1400)
		s.advance(40 * ms)
		s.want(seg{flags: fA, seq: 1, ack: at})
		s.wantNothing()
	}
}

// TestDelayedACK has one segment wait for company, and two full ones be acknowledged at once (RFC 9293 section 3.8.6.3).
func TestDelayedACK(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1448})
	s.drain(1)
	s.advance(time.Second)
	s.drain(1)

	s.inject(seg{flags: fA, seq: 1449, ack: 1, len: 1448})
	s.wantNothing()
	s.wantTimer(40 * ms)
	s.inject(seg{flags: fA, seq: 2897, ack: 1, len: 1448})
	s.want(seg{flags: fA, seq: 1, ack: 4345})
	s.wantNothing()

	s.inject(seg{flags: fA, seq: 4345, ack: 1, len: 10})
	s.wantNothing()
	s.write(10)
	s.want(seg{flags: fA, seq: 1, len: 10, ack: 4355})
	s.inject(seg{flags: fA, seq: 4355, ack: 11})
	s.advance(time.Minute)
	s.wantNothing() // the data took the ACK along
}

// TestQuickACKsAfterAHole has ACKs not wait once a hole was filled, until there were enough of them or the application sends data that
// carries them.
func TestQuickACKsAfterAHole(t *testing.T) {
	for _, answers := range []bool{false, true} {
		s := established(t, wraps)
		s.inject(seg{flags: fA, seq: 1001, ack: 1, len: 1000})
		s.drain(1)
		s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000})
		s.want(seg{flags: fA, seq: 1, ack: 2001})
		at, sent := uint32(2001), uint32(1)
		if answers {
			s.inject(seg{flags: fA, seq: at, ack: sent, len: 100})
			at += 100
			s.write(10)
			s.want(seg{flags: fA, seq: sent, len: 10, ack: at})
			sent += 10
		} else {
			for range quickAfterHole {
				s.inject(seg{flags: fA, seq: at, ack: sent, len: 100})
				at += 100
				s.want(seg{flags: fA, seq: sent, ack: at})
			}
		}
		s.inject(seg{flags: fA, seq: at, ack: sent, len: 100})
		s.wantNothing()
		s.wantTimer(40 * ms)
	}
}

// TestRunIsAcknowledgedOnce has a batch of in-order segments answered by one ACK.
func TestRunIsAcknowledgedOnce(t *testing.T) {
	s := established(t, wraps)
	var run []seg
	for i := range uint32(40) {
		run = append(run, seg{flags: fA, seq: 1 + 1448*i, ack: 1, len: 1448})
	}
	s.inject(run...)
	s.want(seg{flags: fA, seq: 1, ack: 1 + 40*1448})
	s.wantNothing()
	s.wantRead(40 * 1448)
}

// TestSegmentsPerWake has Process stop after its bound and go on when called again.
func TestSegmentsPerWake(t *testing.T) {
	s := established(t, wraps)
	for i := range uint32(250) {
		s.enqueue(seg{flags: fA, seq: 1 + 100*i, ack: 1, len: 100})
	}
	for i, want := range []bool{true, true, false} {
		if more := s.c.Process(s.now); more != want {
			t.Errorf("turn %d: more is %v", i, more)
		}
		s.wantRead([]uint32{10_000, 10_000, 5_000}[i])
	}
	s.drain(1)
}

// TestOverlaps has every kind of overlap with what was received before, in order and out of order.
func TestOverlaps(t *testing.T) {
	for _, c := range []struct {
		name string
		segs []seg // with begin and length only
		want uint32
	}{
		{"all old", []seg{{seq: 1, len: 100}, {seq: 1, len: 100}}, 100},
		{"old and new", []seg{{seq: 1, len: 100}, {seq: 51, len: 100}}, 150},
		{"contained in what is old", []seg{{seq: 1, len: 100}, {seq: 31, len: 10}}, 100},
		{"before the window and over it", []seg{{seq: 1, len: 100}, {seq: 1, len: 300}}, 300},
		{"hole filled exactly", []seg{{seq: 101, len: 100}, {seq: 1, len: 100}}, 200},
		{"hole filled with overlap", []seg{{seq: 101, len: 100}, {seq: 1, len: 150}}, 200},
		{"hole filled beyond what came after it", []seg{{seq: 101, len: 100}, {seq: 1, len: 400}}, 400},
		{"same out of order twice", []seg{{seq: 101, len: 100}, {seq: 101, len: 100}, {seq: 1, len: 100}}, 200},
		{"out of order, longer", []seg{{seq: 101, len: 50}, {seq: 101, len: 100}, {seq: 1, len: 100}}, 200},
		{"out of order, shorter", []seg{{seq: 101, len: 100}, {seq: 101, len: 50}, {seq: 1, len: 100}}, 200},
		{"out of order, from before", []seg{{seq: 101, len: 100}, {seq: 51, len: 100}, {seq: 1, len: 50}}, 200},
		{"out of order, to behind", []seg{{seq: 101, len: 100}, {seq: 151, len: 100}, {seq: 1, len: 100}}, 250},
		{"between two", []seg{{seq: 101, len: 50}, {seq: 201, len: 50}, {seq: 131, len: 90}, {seq: 1, len: 100}}, 250},
		{"over three", []seg{{seq: 101, len: 10}, {seq: 121, len: 10}, {seq: 141, len: 10}, {seq: 91, len: 100}, {seq: 1, len: 90}}, 190},
		{"over all at last", []seg{{seq: 101, len: 10}, {seq: 121, len: 10}, {seq: 141, len: 10}, {seq: 1, len: 200}}, 200},
		{"last first", []seg{
			{seq: 401, len: 100}, {seq: 301, len: 100}, {seq: 201, len: 100}, {seq: 101, len: 100}, {seq: 1, len: 100},
		}, 500},
		{"odd bytes", []seg{{seq: 3, len: 1}, {seq: 5, len: 1}, {seq: 2, len: 3}, {seq: 1, len: 1}}, 5},
		{"large segments", []seg{{seq: 1401, len: 1400}, {seq: 701, len: 1400}, {seq: 1, len: 1400}}, 2800},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, batch := range []bool{false, true} {
				s := established(t, scriptOptions{iss: 7, irs: 1<<32 - 60, sack: true})
				for i := range c.segs {
					c.segs[i].flags, c.segs[i].ack = fA, 1
					if !batch {
						s.inject(c.segs[i])
						s.drain(2)
					}
				}
				if batch {
					s.inject(c.segs...)
					s.drain(2 * len(c.segs))
				}
				s.wantRead(c.want)
				s.inject(seg{flags: fA, seq: 1 + c.want, ack: 1, len: 50}, seg{flags: fA, seq: 1, ack: 1, len: 50})
				s.want(seg{flags: fA, seq: 1, ack: c.want + 51}) // the repetition asks for an ACK
				s.wantRead(50)
			}
		})
	}
}

// TestSACKBlocks has the blocks in the order of RFC 2018 section 4: the run that grew last first, then the others by age.
func TestSACKBlocks(t *testing.T) {
	s := established(t, scriptOptions{iss: 7, irs: 1<<32 - 2000, sack: true})
	out := func(seq uint32) { s.inject(seg{flags: fA, seq: seq, ack: 1, len: 100}) }
	b := func(nums ...Seq) (blocks []SACKBlock) {
		for i := 0; i < len(nums); i += 2 {
			blocks = append(blocks, SACKBlock{nums[i], nums[i+1]})
		}
		return blocks
	}
	for _, c := range []struct {
		seq  uint32
		want []SACKBlock
	}{
		{1001, b(1001, 1101)},
		{2001, b(2001, 2101, 1001, 1101)},
		{3001, b(3001, 3101, 2001, 2101, 1001, 1101)},
		{4001, b(4001, 4101, 3001, 3101, 2001, 2101, 1001, 1101)},
		{5001, b(5001, 5101, 4001, 4101, 3001, 3101, 2001, 2101)}, // room for four
		{3101, b(3001, 3201, 5001, 5101, 4001, 4101, 2001, 2101)},
		{2001, b(2001, 2101, 2001, 2101, 3001, 3201, 5001, 5101)}, // received before: a D-SACK, and first again
	} {
		out(c.seq)
		s.want(seg{flags: fA, seq: 1, ack: 1, sack: c.want})
		s.wantNothing()
	}
	// The hole before them is filled in part: what is in order now is no block any more.
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 1101, sack: b(2001, 2101, 3001, 3201, 5001, 5101, 4001, 4101)})
	s.wantRead(1100)
	s.inject(seg{flags: fA, seq: 1101, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 2101 + 0, sack: b(3001, 3201, 5001, 5101, 4001, 4101)})
}

// TestSACKBeside has the blocks that fit beside timestamps: three.
func TestSACKBesideTimestamps(t *testing.T) {
	s := established(t, wraps)
	for i := range uint32(4) {
		s.inject(seg{flags: fA, seq: 1001 + 1000*i, ack: 1, len: 100})
		o := s.want(seg{flags: fA, seq: 1, ack: 1})
		if n := o.HeaderLen(); n > MaxHeaderLen || n != 20+12+4+8*min(3, int(i)+1) {
			t.Errorf("with %d holes the header has %d bytes", i+1, n)
		}
	}
}

// TestDuplicateACKs has each out-of-order segment of a batch answered by a duplicate ACK of its own (RFC 5681 section 4.2).
func TestDuplicateACKs(t *testing.T) {
	s := established(t, scriptOptions{iss: 7, irs: 1<<32 - 2000})
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000}, seg{flags: fA, seq: 2001, ack: 1, len: 1000},
		seg{flags: fA, seq: 3001, ack: 1, len: 1000}, seg{flags: fA, seq: 4001, ack: 1, len: 1000})
	for range 4 { // the first acknowledges what was in order
		s.want(seg{flags: fA, seq: 1, ack: 1001})
	}
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1001, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 5001})
	s.wantNothing()
	s.wantRead(5000)
}

// TestPAWS has segments with an old timestamp refused and answered, across the wrap of timestamps (RFC 7323 section 5).
func TestPAWS(t *testing.T) {
	s := established(t, wraps) // the peer's timestamps wrap two seconds from now
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
	s.advance(time.Second)
	s.want(seg{flags: fA, seq: 1, ack: 101})
	s.inject(seg{flags: fA, seq: 101, ack: 1, len: 100, tsVal: s.peerTS() - 5000})
	s.want(seg{flags: fA, seq: 1, ack: 101})
	s.wantRead(100)
	if s.k.Stats.DropOldTimestamp != 1 {
		t.Error("the drop is not counted")
	}
	s.advance(2 * time.Second) // beyond the wrap
	s.inject(seg{flags: fA, seq: 101, ack: 1, len: 100})
	s.advance(40 * ms)
	if o := s.want(seg{flags: fA, seq: 1, ack: 201}); o.TSEcr > 5000 {
		t.Errorf("echoes %d, want a timestamp after the wrap", o.TSEcr)
	}
	s.inject(seg{flags: fA, seq: 201, ack: 1, len: 100, tsVal: 1<<32 - 1000})
	s.want(seg{flags: fA, seq: 1, ack: 201})
	s.inject(seg{flags: FlagRST, seq: 201, tsVal: 1<<32 - 1000}) // a reset is not subject to it
	s.wantState(StateClosed)
}

// TestPAWSAfterLongSilence has a timestamp that has wrapped in a silence of more than 24 days be believed (section 5.5).
func TestPAWSAfterLongSilence(t *testing.T) {
	s := established(t, wraps)
	s.now = s.now.Add(30 * 24 * time.Hour)
	s.k.BeginBatch(s.now)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
	s.wantRead(100)
}

func TestNoTimestamp(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100, noTS: true})
	s.wantRead(0)
	s.wantNothing() // silently (RFC 7323 section 3.2)
	s.inject(seg{flags: FlagRST, seq: 1, noTS: true})
	s.wantState(StateClosed)
}

// TestTimestampEcho has the echo be that of the first segment that a delayed ACK is for (RFC 7323 section 4.3).
func TestTimestampEcho(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
	first := s.peerTS()
	s.advance(20 * ms)
	s.inject(seg{flags: fA, seq: 101, ack: 1, len: 100})
	s.advance(20 * ms)
	if o := s.want(seg{flags: fA, seq: 1, ack: 201}); o.TSEcr != first {
		t.Errorf("echoes %d, want that of the earlier segment, %d", o.TSEcr, first)
	}
	s.inject(seg{flags: fA, seq: 301, ack: 1, len: 100}) // after a hole: does not change what is echoed
	if o := s.want(seg{flags: fA, seq: 1, ack: 201}); o.TSEcr == s.peerTS() {
		t.Error("echoes the timestamp of a segment after a hole")
	}
}

// TestReceiveWindow has the window close as data stays unread, refuse what is beyond it, and open again when it is worth it.
func TestReceiveWindow(t *testing.T) {
	s := established(t, scriptOptions{irs: 1<<32 - 5000, cfg: Config{RecvBuffer: 16384}})
	at, edge, last := uint32(1), uint32(1+16384), OutSegment{}
	for at < edge {
		n := min(edge-at, 1400)
		s.inject(seg{flags: fA, seq: at, ack: 1, len: n})
		at += n
		s.advance(40 * ms)
		last = s.want(seg{flags: fA, seq: 1, ack: at})
		right := uint32(last.Ack-s.irs) + uint32(last.Window)
		if right < edge {
			t.Fatalf("the window's right edge retreats from %d to %d", edge, right)
		}
		edge = right
	}
	if last.Window != 0 || edge != 1+16384 {
		t.Errorf("the window ends at %d with %d bytes left", edge, last.Window)
	}
	// Beyond the window: refused, answered with the number that is expected.
	s.inject(seg{flags: fA, seq: at, ack: 1, len: 1})
	s.want(seg{flags: fA, seq: 1, ack: at, closed: true})
	s.wantNothing()
	if s.k.Stats.ZeroWindows == 0 {
		t.Error("a closed window is not counted")
	}
	// Reading opens it at once, and by much.
	s.wantRead(at - 1)
	if o := s.want(seg{flags: fA, seq: 1, ack: at}); o.Window < 8192 {
		t.Errorf("the window opens to %d only", o.Window)
	}
	s.inject(seg{flags: fA, seq: at, ack: 1, len: 1000})
	s.wantRead(1000)
}

// TestSmallReadsDoNotOpenTheWindow has no silly windows offered: it opens by a full segment or not at all.
func TestSmallReadsDoNotOpenTheWindow(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{RecvBuffer: 16384}})
	at := uint32(1)
	for {
		s.inject(seg{flags: fA, seq: at, ack: 1, len: 1400})
		at += 1400
		s.advance(40 * ms)
		o, ok := s.pull()
		if ok && o.Window == 0 {
			break
		}
		if at > 200_000 {
			t.Fatal("the window does not close")
		}
	}
	at = uint32(s.c.rcv.nxt - s.irs)
	s.c.Consumed(100)
	s.wantNothing()
	s.inject(seg{flags: fA, seq: at, ack: 1, len: 1})
	s.want(seg{flags: fA, seq: 1, ack: at, closed: true})
}

// TestFINOutOfOrder has the FIN come before the data.
func TestFINOutOfOrder(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fA | FlagFIN, seq: 1001, ack: 1})
	s.drain(1)
	s.wantState(StateEstablished)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 1002})
	s.wantState(StateCloseWait)
	s.wantRead(1000)
}

// TestURG has urgent data delivered in line (RFC 6093).
func TestURG(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fA | FlagURG | FlagPSH, seq: 1, ack: 1, len: 100})
	s.wantRead(100)
}

// TestACKHalfTheSpaceAway has the peer acknowledge a number that is exactly half of the sequence space away, which comparison by
// signed difference takes for one before SND.NXT and for one after SND.UNA.
func TestACKHalfTheSpaceAway(t *testing.T) {
	s := established(t, wraps)
	s.write(100)
	s.drain(1)
	s.inject(seg{flags: fA, seq: 1, ack: 1 + 1<<31})
	s.drain(1) // a challenge, if anything
	s.inject(seg{flags: fA, seq: 1, ack: 101, len: 10})
	s.drain(1)
	s.wantRead(10)
	s.wantState(StateEstablished)
}

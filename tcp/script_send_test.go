package tcp

import (
	"errors"
	"testing"
	"time"
)

// sends is a connection with a full segment of 1,000 bytes and wrapping numbers.
var sends = scriptOptions{iss: 1<<32 - 5000, irs: 1<<32 - 2000, mss: 1000, sack: true}

// noSACK is the same without SACK.
var noSACK = scriptOptions{iss: 1<<32 - 5000, irs: 1<<32 - 2000, mss: 1000}

func TestSendAcrossTheWrap(t *testing.T) {
	s := established(t, wraps)
	at := uint32(1)
	for range 20 {
		s.write(3000)
		s.wantData(at, at+2896, 1448, 1)
		if at == 1 {
			s.wantNothing() // Nagle: the rest waits
		}
		s.inject(seg{flags: fA, seq: 1, ack: at + 2896})
		s.want(seg{flags: fA, seq: at + 2896, len: 104, ack: 1})
		at += 3000
		s.advance(10 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: at})
	}
	if i := s.c.Info(); i.Unacked != 0 || i.InFlight != 0 {
		t.Errorf("%+v", i)
	}
}

func TestNagle(t *testing.T) {
	s := established(t, sends)
	s.write(10)
	s.want(seg{flags: fA, seq: 1, len: 10, ack: 1}) // nothing is outstanding
	s.write(10)
	s.write(20)
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 11})
	s.want(seg{flags: fA, seq: 11, len: 30, ack: 1})
	s.write(10)
	s.wantNothing()
	s.c.SetNoDelay(true)
	s.want(seg{flags: fA, seq: 41, len: 10, ack: 1})
	s.write(10)
	s.want(seg{flags: fA, seq: 51, len: 10, ack: 1})
}

// TestSlowStart has the window of a connection double in each round trip, from ten segments.
func TestSlowStart(t *testing.T) {
	s := established(t, scriptOptions{iss: 1<<32 - 5000, mss: 1000, wscale: 7, sack: true})
	s.write(200_000)
	at := uint32(1)
	for _, n := range []uint32{10, 20, 40} {
		s.wantData(at, at+n*1000, 1000, 1)
		s.wantNothing()
		s.advance(10 * ms)
		var acks []seg
		for i := uint32(2); i <= n; i += 2 {
			acks = append(acks, seg{flags: fA, seq: 1, ack: at + i*1000, wnd: 1 << 20})
		}
		s.inject(acks...)
		at += n * 1000
	}
	s.wantData(at, at+65_000, 1000, 1)
}

// TestPeerWindowLimits has the peer's window be the bound.
func TestPeerWindowLimits(t *testing.T) {
	s := established(t, sends)
	s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: 2500})
	s.write(10_000)
	s.wantData(1, 2001, 1000, 1)
	s.wantNothing() // 500 bytes are not worth a segment (RFC 9293 section 3.8.6.2.1)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, wnd: 2500})
	s.want(seg{flags: fA, seq: 2001, len: 1000, ack: 1})
	s.wantNothing()
	// A window that an old segment offers does not count (SND.WL1, SND.WL2).
	s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: 60_000})
	s.wantNothing()
	// One that shrinks does: what is out stays out, nothing follows.
	s.inject(seg{flags: fA, seq: 1, ack: 2001, wnd: 500})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 3001, wnd: 60_000})
	s.wantData(3001, 10_001, 1000, 1)
}

// TestZeroWindowForLong has a window be closed for an hour: probes with backoff, no end of the connection, and all data when it opens.
func TestZeroWindowForLong(t *testing.T) {
	s := established(t, sends)
	s.write(5000)
	s.wantData(1, 5001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 5001, closed: true})
	s.write(3000)
	s.wantNothing()
	start, last, probes := s.now, time.Duration(0), 0
	for s.now.Sub(start) < time.Hour {
		before := s.now
		s.expire()
		o, ok := s.pull()
		if !ok {
			continue
		}
		probes++
		if gap := s.now.Sub(before); gap < last || gap > 120*time.Second+last {
			t.Fatalf("probe %d comes after %v, the one before after %v", probes, gap, last)
		} else {
			last = gap
		}
		if o.Seq.Sub(s.iss) > 5001 {
			t.Fatalf("probe %d is %s", probes, s.relative(&o))
		}
		s.advance(5 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: 5001, closed: true})
		s.drain(1)
	}
	s.wantState(StateEstablished)
	if probes < 25 || probes > 60 {
		t.Errorf("%d probes in an hour", probes)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 5001})
	at := uint32(5001)
	for range 10 {
		o, ok := s.pull()
		if !ok {
			break
		}
		g := s.relative(&o)
		if g.seq != at || g.len == 0 {
			t.Fatalf("got %s, want what follows %d", g, at)
		}
		at += g.len
	}
	if at != 8001 {
		s.inject(seg{flags: fA, seq: 1, ack: at})
		s.wantData(at, 8001, 1000, 1)
	}
	s.wantState(StateEstablished)
	if w := s.c.Info().CWnd; w < 10_000 {
		t.Errorf("the window that was closed cost congestion window: %d bytes", w)
	}
}

// TestZeroWindowDeadPeer has a peer that closed its window and then vanished be given up.
func TestZeroWindowDeadPeer(t *testing.T) {
	s := established(t, sends)
	s.inject(seg{flags: fA, seq: 1, ack: 1, closed: true})
	s.write(1000)
	for range 100 {
		if s.c.State() == StateClosed {
			break
		}
		s.expire()
		s.drain(1)
	}
	s.wantState(StateClosed)
	if !errors.Is(s.c.Err(), ErrTimeout) {
		t.Errorf("error %v", s.c.Err())
	}
}

// TestRTOBackoff has the timeout double until the connection is given up, and the first segment sent each time.
func TestRTOBackoff(t *testing.T) {
	s := established(t, scriptOptions{iss: 1<<32 - 500, mss: 1000, sack: true, cfg: Config{Retries: 6, MaxRTO: 3 * time.Second, MTUProbing: MTUProbingOff}})
	s.write(3000)
	s.wantData(1, 3001, 1000, 1)
	s.wantTimer(22 * ms)
	s.expire()
	s.want(seg{flags: fA, seq: 2001, len: 1000, ack: 1}) // the tail loss probe
	for i, want := range []time.Duration{200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3 * time.Second, 3 * time.Second} {
		s.wantTimer(want)
		s.expire()
		s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
		s.wantNothing()
		if w := s.c.Info().CWnd; w != 1000 {
			t.Fatalf("after timeout %d the window is %d bytes, want one segment", i, w)
		}
	}
	s.expire()
	s.wantState(StateClosed)
	if !errors.Is(s.c.Err(), ErrTimeout) {
		t.Errorf("error %v", s.c.Err())
	}
	s.wantNothing()
}

// TestRTORecovers has what was lost be sent again in slow start after a timeout, once each.
func TestRTORecovers(t *testing.T) {
	for _, o := range []scriptOptions{sends, noSACK} {
		s := established(t, o)
		s.write(5000)
		s.wantData(1, 5001, 1000, 1)
		if o.sack {
			s.expire()
			s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1}) // the tail loss probe
		}
		s.expire()
		s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
		s.wantNothing()
		s.advance(10 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: 1001})
		s.wantData(1001, 3001, 1000, 1)
		s.wantNothing()
		s.advance(10 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: 2001}, seg{flags: fA, seq: 1, ack: 3001})
		s.wantData(3001, 5001, 1000, 1)
		s.wantNothing()
		s.inject(seg{flags: fA, seq: 1, ack: 5001})
		s.wantNothing()
		if i := s.c.Info(); i.Recovery != "open" || i.Unacked != 0 || i.Retries != 0 {
			t.Errorf("%+v", i)
		}
		if got := s.k.Stats.Retransmits; got != 5+s.k.Stats.TailProbes {
			t.Errorf("%d segments were sent again, want 5 and the probe", got)
		}
	}
}

// TestRTOByKarn has an ACK of what was sent twice be no measurement.
func TestRTOByKarn(t *testing.T) {
	s := established(t, noSACK)
	before := s.c.Info().RTT
	s.write(500)
	s.want(seg{flags: fA, seq: 1, len: 500, ack: 1})
	s.expire()
	s.want(seg{flags: fA, seq: 1, len: 500, ack: 1})
	s.advance(100 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 501})
	if got := s.c.Info().RTT; got != before {
		t.Errorf("the round trip went from %v to %v by an ambiguous ACK", before, got)
	}
}

// TestFastRetransmitSACK has the third SACKed segment beyond a hole start a recovery: the hole is sent again at once, the window
// halved, and it ends when all is acknowledged.
func TestFastRetransmitSACK(t *testing.T) {
	s := established(t, sends)
	s.write(20_000)
	s.wantData(1, 10_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1001, 2001}}})
	s.drain(2)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1001, 3001}}})
	s.drain(2)
	if s.k.Stats.FastRecoveries != 0 {
		t.Fatal("recovery begins too early")
	}
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1001, 4001}}})
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.drain(2)
	if i := s.c.Info(); i.Recovery != "recovery" || i.SSThresh > 7000 || i.SSThresh < 5000 {
		t.Errorf("%+v", i)
	}
	for range 5 {
		s.inject(seg{flags: fA, seq: 1, ack: uint32(s.c.snd.nxt - s.iss)})
		s.drain(10)
	}
	if i := s.c.Info(); i.Recovery != "open" || i.Unacked != 0 {
		t.Errorf("%+v", i)
	}
	if got := s.k.Stats.Retransmits; got != 1 {
		t.Errorf("%d segments were sent again, want 1", got)
	}
}

// TestSACKSeveralHoles has every hole be sent again in one round trip, and nothing else.
func TestSACKSeveralHoles(t *testing.T) {
	s := established(t, sends)
	s.write(10_000)
	s.wantData(1, 10_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(
		seg{flags: fA, seq: 1, ack: 1001},
		seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{2001, 3001}}},
		seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{4001, 5001}, {2001, 3001}}},
		seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{6001, 10_001}, {4001, 5001}, {2001, 3001}}})
	for _, at := range []uint32{1001, 3001, 5001} {
		s.want(seg{flags: fA, seq: at, len: 1000, ack: 1})
	}
	s.wantNothing()
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 3001, sack: []SACKBlock{{6001, 10_001}, {4001, 5001}}})
	s.wantNothing() // what it shows missing was sent again already
	s.inject(seg{flags: fA, seq: 1, ack: 10_001})
	s.wantNothing()
	if got := s.k.Stats.Retransmits; got != 3 {
		t.Errorf("%d segments were sent again, want 3", got)
	}
}

// TestLostRetransmission has a segment that was lost twice be sent again by the timer.
func TestLostRetransmission(t *testing.T) {
	s := established(t, sends)
	s.write(6000)
	s.wantData(1, 6001, 1000, 1)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1001, 6001}}})
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	s.expire()
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 6001})
	s.wantNothing()
	if i := s.c.Info(); i.Recovery != "open" {
		t.Errorf("%+v", i)
	}
}

// TestFastRetransmitNewReno is the same without SACK, with a partial ACK for a second loss (RFC 6582).
func TestFastRetransmitNewReno(t *testing.T) {
	o := noSACK
	o.cfg.Congestion = "newreno"
	s := established(t, o)
	s.write(10_000)
	s.wantData(1, 10_001, 1000, 1)
	dup := seg{flags: fA, seq: 1, ack: 1}
	s.inject(dup)
	s.wantNothing()
	s.inject(dup)
	s.wantNothing()
	s.inject(dup)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	s.inject(dup, dup, dup, dup, dup)
	s.inject(seg{flags: fA, seq: 1, ack: 4001})
	s.want(seg{flags: fA, seq: 4001, len: 1000, ack: 1})
	s.wantNothing()
	if i := s.c.Info(); i.Recovery != "recovery" || i.CWnd != 5000 {
		t.Errorf("%+v", i)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 10_001})
	s.wantNothing()
	if i := s.c.Info(); i.Recovery != "open" || i.InFlight != 0 {
		t.Errorf("%+v", i)
	}
}

// TestWindowUpdateIsNoDuplicate has ACKs that change the window or carry data start no recovery.
func TestWindowUpdateIsNoDuplicate(t *testing.T) {
	s := established(t, noSACK)
	s.write(5000)
	s.wantData(1, 5001, 1000, 1)
	for i := range uint32(6) {
		s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: 60_000 - i})
	}
	for i := range uint32(6) {
		s.inject(seg{flags: fA, seq: 1 + 10*i, ack: 1, len: 10, wnd: 60_000 - 5})
	}
	s.drain(6)
	if s.k.Stats.FastRecoveries != 0 || s.k.Stats.Retransmits != 0 {
		t.Error("a loss was seen where there is none")
	}
}

// TestSACKBlocksThatLie has blocks outside of what was sent be ignored.
func TestSACKBlocksThatLie(t *testing.T) {
	s := established(t, sends)
	s.write(5000)
	s.wantData(1, 5001, 1000, 1)
	for _, b := range [][]SACKBlock{
		{{1, 1 << 30}}, {{6001, 7001}}, {{5001, 5002}}, {{3001, 2001}}, {{2001, 2001}}, {{0, 1}},
		{{1<<32 - 3000, 1<<32 - 1000}}, {{1, 6001}}, {{1<<32 - 100, 3001}},
	} {
		s.inject(seg{flags: fA, seq: 1, ack: 1, sack: b})
		s.drain(5)
		if i := s.c.Info(); i.InFlight > 5000 {
			t.Fatalf("block %v: %+v", b, i)
		}
	}
	s.inject(seg{flags: fA, seq: 1, ack: 5001})
	if i := s.c.Info(); i.InFlight != 0 || i.Unacked != 0 {
		t.Errorf("%+v", i)
	}
}

// TestPartOfAFrameAcknowledged has the rest of it be sent again.
func TestPartOfAFrameAcknowledged(t *testing.T) {
	s := established(t, sends)
	s.write(1000)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 301})
	s.expire()
	s.want(seg{flags: fA, seq: 301, len: 700, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	s.wantNothing()
}

// TestRetransmitWhileInTransmission has a frame that the kernel still has be sent again as a copy.
func TestRetransmitWhileInTransmission(t *testing.T) {
	s := established(t, sends)
	s.hold = true
	s.write(1000)
	if o := s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1}); o.Copy {
		t.Error("the first transmission asks for a copy")
	}
	s.expire()
	if o := s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1}); !o.Copy {
		t.Error("the kernel still has the frame, and its headers would be overwritten")
	}
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	if got := s.k.Pool.Account().TX; got != 1 {
		t.Errorf("%d frames are with the kernel only, want 1", got)
	}
}

// TestWriteIsBounded has Write take what the buffer holds, and say when there is room again.
func TestWriteIsBounded(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{SendBuffer: 20_000}})
	if n := s.c.Write(make([]byte, 100_000)); n != 20_000 {
		t.Fatalf("Write took %d bytes, want 20000", n)
	}
	if n := s.c.Write(make([]byte, 1)); n != 0 {
		t.Fatalf("Write took %d bytes beyond the buffer", n)
	}
	s.events = 0
	for range 10 {
		s.c.Output(s.now, new(OutSegment))
	}
	s.inject(seg{flags: fA, seq: 1, ack: 10_001})
	s.wantEvents(EventWritable)
	if n := s.c.Write(make([]byte, 100_000)); n != 10_000 {
		t.Errorf("Write took %d bytes, want 10000", n)
	}
}

func TestUserTimeout(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000, cfg: Config{UserTimeout: 10 * time.Second}})
	s.write(1000)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	start := s.now
	for s.c.State() != StateClosed {
		s.expire()
		s.drain(1)
	}
	if got := s.now.Sub(start); got != 10*time.Second || !errors.Is(s.c.Err(), ErrTimeout) {
		t.Errorf("gave up after %v with %v", got, s.c.Err())
	}
}

func TestKeepAlive(t *testing.T) {
	cfg := Config{KeepAlive: KeepAlive{Idle: 60 * time.Second, Interval: 10 * time.Second, Count: 3}}
	s := established(t, scriptOptions{iss: 1<<32 - 1, mss: 1000, cfg: cfg})
	s.advance(60 * time.Second)
	s.want(seg{flags: fA, seq: 0, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 1}) // it lives
	s.advance(59 * time.Second)
	s.wantNothing()
	s.advance(time.Second)
	for range 3 {
		s.want(seg{flags: fA, seq: 0, ack: 1})
		s.wantNothing()
		s.advance(10 * time.Second)
	}
	s.wantState(StateClosed)
	if !errors.Is(s.c.Err(), ErrTimeout) {
		t.Errorf("error %v", s.c.Err())
	}
	if o, ok := s.pull(); ok && o.Flags&FlagRST == 0 {
		t.Errorf("%s is sent", s.relative(&o))
	}
}

// TestKeepAliveOfThePeer has the peer's probe, which is before the window, be answered.
func TestKeepAliveOfThePeer(t *testing.T) {
	s := established(t, sends)
	s.inject(seg{flags: fA, seq: 0, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	s.inject(seg{flags: fA, seq: 0, ack: 1, len: 1})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	s.wantRead(0)
}

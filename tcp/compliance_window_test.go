package tcp

import (
	"errors"
	"testing"
	"time"
)

// TestWindowIsUnsigned has a window of more than 32767 bytes be used in full, with and without a shift (MUST-1, REC-1).
func TestWindowIsUnsigned(t *testing.T) {
	for _, c := range []struct {
		wscale int8
		wnd    uint32
	}{{0, 65535}, {0, 40000}, {14, 1 << 20}} {
		s := established(t, scriptOptions{iss: 1<<31 - 1000, wscale: c.wscale, mss: 1000, cfg: Config{InitialWindow: 2000, SendBuffer: 4 << 20}})
		s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: c.wnd})
		s.write(1_500_000)
		sent := uint32(0)
		for o, ok := s.pull(); ok; o, ok = s.pull() {
			sent += o.Len
		}
		if sent > c.wnd || sent+1000 <= c.wnd {
			t.Errorf("shift %d: %d bytes are sent into a window of %d", c.wscale, sent, c.wnd)
		}
	}
}

// TestWindowShrinks has the peer take back a part of its window, so that the usable window is negative (MUST-34): nothing new is sent
// (SHLD-15), what is inside is sent again as usual (SHLD-16), and the connection lives as long as the peer answers (SHLD-17).
func TestWindowShrinks(t *testing.T) {
	s := established(t, scriptOptions{iss: 1<<32 - 5000, mss: 1000})
	s.write(12_000)
	s.wantData(1, 10_001, 1000, 1)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, wnd: 2000})
	s.wantNothing()
	s.write(1000)
	s.wantNothing()
	at := uint32(1001)
	for range 50 { // The peer takes what its window has room for, and says so only when asked again.
		s.expire()
		for o, ok := s.pull(); ok; o, ok = s.pull() {
			if g := s.relative(&o); g.seq+g.len > 10_001 {
				t.Fatalf("%s is sent: new data beyond the window", g)
			}
		}
		s.wantState(StateEstablished)
		at = min(at+1000, 3001)
		s.inject(seg{flags: fA, seq: 1, ack: at, wnd: 3001 - at, closed: at == 3001})
	}
	s.inject(seg{flags: fA, seq: 1, ack: 10_001, wnd: 60_000})
	s.wantData(10_001, 12_001, 1000, 1) // in slow start, after timeouts
	s.inject(seg{flags: fA, seq: 1, ack: 12_001})
	s.wantData(12_001, 13_001, 1000, 1)
	s.inject(seg{flags: fA, seq: 1, ack: 13_001})
	s.wantNothing()
}

// TestWindowShrinksToNothing has the window shrink to zero with data outstanding: it is probed (MUST-35), for as long as the peer
// answers (MUST-37).
func TestWindowShrinksToNothing(t *testing.T) {
	s := established(t, scriptOptions{iss: 1<<32 - 5000, mss: 1000})
	s.write(5000)
	s.wantData(1, 5001, 1000, 1)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, closed: true})
	start := s.now
	for range 40 {
		s.expire()
		if s.drain(10) == 0 {
			t.Fatal("no probe")
		}
		s.inject(seg{flags: fA, seq: 1, ack: 1001, closed: true})
		s.wantState(StateEstablished)
	}
	if d := s.now.Sub(start); d < 30*time.Minute {
		t.Errorf("40 probes took %v: the interval does not grow", d)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	s.wantData(1001, 5001, 1000, 1)
}

// TestWindowComesWithTheACK has an ACK come with a segment that fills a hole, and is thus before the one that the window was last taken
// from (SND.WL1): as it acknowledges more it was sent later, and its window counts from what it acknowledges. With the old one the
// right edge would move ahead by what was acknowledged, to where the peer has offered nothing.
func TestWindowComesWithTheACK(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000, cfg: Config{InitialWindow: 20}})
	s.inject(seg{flags: fA, seq: 1001, len: 1000, ack: 1, wnd: 10_000})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	s.write(30_000)
	s.wantData(1, 10_001, 1000, 1)
	s.inject(seg{flags: fA, seq: 1, len: 1000, ack: 5001, wnd: 5000})
	s.want(seg{flags: fA, seq: 10_001, ack: 2001})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 2001, ack: 10_001, wnd: 2000})
	s.wantData(10_001, 12_001, 1000, 2001)
	s.wantNothing()
}

// TestPush has the last segment of what was written say PSH, and no other (MUST-61, SHLD-27), and segments be full (SHLD-28).
func TestPush(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000, cfg: Config{NoDelay: true}})
	for range 3 {
		s.write(900)
	}
	for i, n := range []uint32{1000, 1000, 700} {
		o := s.want(seg{flags: fA, seq: 1 + 1000*uint32(i), len: n, ack: 1})
		if last := i == 2; o.Flags&FlagPSH != 0 != last {
			t.Errorf("segment %d has flags %v", i, o.Flags)
		}
	}
	s.write(1000)
	if o := s.want(seg{flags: fA, seq: 2701, len: 1000, ack: 1}); o.Flags&FlagPSH == 0 {
		t.Errorf("a full last segment has flags %v", o.Flags)
	}
}

// TestNothingIsHeldForEver has every reason to hold data back end by itself (MUST-60): Nagle with the ACK, a cork with its time, a
// window that is too small with the override.
func TestNothingIsHeldForEver(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		wnd  uint32
	}{{"cork", Config{Cork: true}, 65535}, {"small window", Config{}, 300}} {
		t.Run(c.name, func(t *testing.T) {
			s := established(t, scriptOptions{mss: 1000, cfg: c.cfg})
			s.inject(seg{flags: fA, seq: 1, ack: 1, wnd: c.wnd})
			s.write(500)
			s.wantNothing()
			s.advance(time.Second)
			s.want(seg{flags: fA, seq: 1, len: min(c.wnd, 500), ack: 1})
		})
	}
}

// TestResetWithData has a reset be taken although it carries data, which explains it to people (SHLD-2).
func TestResetWithData(t *testing.T) {
	s := established(t, scriptOptions{})
	s.inject(seg{flags: FlagRST | FlagACK, seq: 1, ack: 1, len: 20})
	s.wantState(StateClosed)
	if !errors.Is(s.c.Err(), ErrReset) {
		t.Errorf("error %v", s.c.Err())
	}
	s.wantRead(0)
	s.wantNothing()
}

// TestResetInSYNReceived has a reset in SYN-RECEIVED mean what it should for how that was reached (MUST-11): after an active open the
// application is told that it was refused. After a passive one the listener goes on listening, as TestListenerRefuses shows.
func TestResetInSYNReceived(t *testing.T) {
	s, _ := connect(t, scriptOptions{iss: 99, irs: 7})
	s.injectSYNACK(FlagSYN, 0, Options{MSS: 1460, WScale: -1})
	s.wantState(StateSynReceived)
	s.want(seg{flags: FlagSYN | FlagACK, ack: 1})
	s.inject(seg{flags: FlagRST, seq: 1})
	s.wantState(StateClosed)
	s.wantEvents(EventClosed)
	if !errors.Is(s.c.Err(), ErrRefused) {
		t.Errorf("error %v", s.c.Err())
	}
}

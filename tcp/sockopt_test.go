package tcp

import (
	"errors"
	"testing"
	"time"
)

// TestKeepAliveParameters sets every parameter of the probes on a connection, and turns them off and on again.
func TestKeepAliveParameters(t *testing.T) {
	s := established(t, scriptOptions{})
	s.c.SetKeepAliveConfig(KeepAlive{Idle: 20 * time.Second, Interval: 3 * time.Second, Count: 2}, s.now)
	if k := s.c.Config().KeepAlive; k != (KeepAlive{Idle: 20 * time.Second, Interval: 3 * time.Second, Count: 2}) {
		t.Errorf("configuration %+v", k)
	}
	s.wantTimer(20 * time.Second)
	s.c.SetKeepAlive(0, s.now)
	if d := s.c.Config().KeepAlive.Idle; d != 0 || s.c.timers.slow < s.now.Add(time.Hour) {
		t.Errorf("turned off, the idle time is %v", d)
	}
	s.c.SetKeepAlive(-1, s.now)
	s.wantTimer(20 * time.Second)
	probe := seg{flags: fA, seq: 0, ack: 1}
	s.advance(20 * time.Second)
	s.want(probe)
	s.advance(3 * time.Second)
	s.want(probe)
	s.advance(3 * time.Second)
	s.want(seg{flags: fA | FlagRST, seq: 1, ack: 1})
	if s.k.Config.KeepAlive.Idle != 0 || s.k.Config.KeepAlive.Count != 9 {
		t.Errorf("the core's configuration became %+v", s.k.Config.KeepAlive)
	}
}

// TestKeepAliveUserTimeout has a user timeout decide when a silent peer counts as gone, not the number of probes (RFC 5482).
func TestKeepAliveUserTimeout(t *testing.T) {
	s := established(t, scriptOptions{})
	s.c.SetKeepAliveConfig(KeepAlive{Idle: 10 * time.Second, Interval: 4 * time.Second, Count: 1}, s.now)
	s.c.SetUserTimeout(17*time.Second, s.now)
	probe := seg{flags: fA, seq: 0, ack: 1}
	s.advance(10 * time.Second)
	s.want(probe)
	s.advance(4 * time.Second)
	s.want(probe)
	s.advance(3*time.Second - 1)
	s.wantNothing()
	s.advance(1)
	s.want(seg{flags: fA | FlagRST, seq: 1, ack: 1})
	if !errors.Is(s.c.Err(), ErrTimeout) {
		t.Errorf("the connection ended with %v", s.c.Err())
	}
}

// TestQuickACK has what waits be acknowledged at once, and what comes in after it, until data of the application's carries an ACK.
func TestQuickACK(t *testing.T) {
	s := established(t, scriptOptions{})
	s.inject(seg{flags: fA, seq: 1, len: 10, ack: 1})
	s.wantNothing()
	s.c.SetQuickACK(true)
	s.want(seg{flags: fA, seq: 1, ack: 11})
	s.inject(seg{flags: fA, seq: 11, len: 10, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 21})
	s.c.SetQuickACK(false)
	s.inject(seg{flags: fA, seq: 21, len: 10, ack: 1})
	s.wantNothing()
	s.c.SetQuickACK(true)
	s.write(5)
	s.want(seg{flags: fA, seq: 1, len: 5, ack: 31})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 31, len: 10, ack: 6})
	s.wantNothing()
	s.wantTimer(40 * ms)
}

// TestQuickACKEnds has ACKs wait again after as many as Linux sends at once.
func TestQuickACKEnds(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{QuickACK: 3}})
	seq := uint32(1)
	for range 3 {
		s.inject(seg{flags: fA, seq: seq, len: 10, ack: 1})
		seq += 10
		s.want(seg{flags: fA, seq: 1, ack: seq})
	}
	s.inject(seg{flags: fA, seq: seq, len: 10, ack: 1})
	s.wantNothing()
	s.wantTimer(40 * ms)
}

// TestSetMaxSegment makes the segments of a connection smaller, those that were written and not sent included, and never larger.
func TestSetMaxSegment(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000, cfg: Config{NoDelay: true, InitialWindow: 2}})
	s.write(3000)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.want(seg{flags: fA, seq: 1001, len: 1000, ack: 1})
	s.wantNothing()
	if err := s.c.SetMaxSegment(600); err != nil {
		t.Fatal(err)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 2001})
	s.want(seg{flags: fA, seq: 2001, len: 600, ack: 1})
	s.want(seg{flags: fA | FlagPSH, seq: 2601, len: 400, ack: 1})
	if err := s.c.SetMaxSegment(1400); err != nil || s.c.Info().SendMSS != 600 {
		t.Errorf("a larger one: %v, segments of %d", err, s.c.Info().SendMSS)
	}
	if err := s.c.SetMaxSegment(MinMSS - 1); !errors.Is(err, ErrConfig) {
		t.Errorf("a tiny one: %v", err)
	}
}

// TestSetLinger resets a closed connection whose peer does not take what was written within the time.
func TestSetLinger(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000})
	s.c.SetLinger(2 * time.Second)
	s.write(1000)
	s.want(seg{flags: fA | FlagPSH, seq: 1, len: 1000, ack: 1})
	s.c.Close(s.now)
	s.want(seg{flags: fA | FlagFIN, seq: 1001, ack: 1})
	s.advance(2*time.Second - 1)
	s.drain(10)
	s.wantState(StateFinWait1)
	s.advance(1)
	s.want(seg{flags: fA | FlagRST, seq: 1002, ack: 1})

	r := established(t, scriptOptions{mss: 1000})
	r.c.SetLinger(-1)
	r.c.Close(r.now)
	r.want(seg{flags: fA | FlagRST, seq: 1, ack: 1})
}

package tcp

import (
	"errors"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// TestUnansweredIsReported has the application be told when the same segment was sent again three times (R1: MUST-20, SHLD-9, SHLD-10),
// be it data or a FIN, and the connection end long after (R2: SHLD-11).
func TestUnansweredIsReported(t *testing.T) {
	for _, fin := range []bool{false, true} {
		s := established(t, scriptOptions{})
		if fin {
			s.c.CloseWrite(s.now)
		} else {
			s.write(1000)
		}
		s.drain(1)
		start := s.now
		s.events = 0
		for i := range 10 {
			s.expire()
			if n := s.drain(1); n != 1 {
				t.Fatalf("%d segments at timeout %d", n, i)
			}
			want := Events(0)
			if i >= 2 {
				want = EventUnanswered
			}
			s.wantEvents(want)
		}
		for s.c.State() != StateClosed {
			s.expire()
			s.drain(1)
		}
		if d := s.now.Sub(start); d < 100*time.Second {
			t.Errorf("the connection ends after %v, want at least 100 s", d)
		}
		if !errors.Is(s.c.Err(), ErrTimeout) {
			t.Errorf("error %v", s.c.Err())
		}
	}
}

// TestAnswersEndTheReports has an ACK begin the count anew.
func TestAnswersEndTheReports(t *testing.T) {
	s := established(t, scriptOptions{})
	s.write(1000)
	s.drain(1)
	for range 4 {
		s.expire()
		s.drain(1)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	s.events = 0
	s.write(1000)
	s.drain(1)
	s.expire()
	s.drain(1)
	s.wantEvents(0)
}

// TestGiveUpIsSetPerConnection has two connections of one configuration end at different times (MUST-21).
func TestGiveUpIsSetPerConnection(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(s *script)
		want time.Duration
	}{
		{"3 retries", func(s *script) { s.c.SetRetries(3) }, 15 * 200 * ms},
		{"user timeout of 5 s", func(s *script) { s.c.SetUserTimeout(5*time.Second, s.now) }, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := established(t, scriptOptions{})
			s.write(100)
			s.drain(1)
			start := s.now
			c.set(s)
			for s.c.State() != StateClosed {
				s.expire()
				s.drain(1)
			}
			if d := s.now.Sub(start); d != c.want {
				t.Errorf("it ends after %v, want %v", d, c.want)
			}
			if s.k.Config.Retries != 15 || s.k.Config.UserTimeout != 0 {
				t.Errorf("the common configuration has changed: %+v", s.k.Config)
			}
		})
	}
	s, _ := connect(t, scriptOptions{iss: 1})
	start := s.now
	s.c.SetRetries(1)
	for s.c.Deadline() != clock.Never {
		s.expire()
		s.drain(1)
	}
	if d := s.now.Sub(start); d != 3*time.Second {
		t.Errorf("the open ends after %v, want 3 s", d)
	}
}

// TestSoftErrorsAreReported has an ICMP error be told to the application at once, without an end to the connection (MUST-47, MUST-56,
// SHLD-25).
func TestSoftErrorsAreReported(t *testing.T) {
	for _, c := range []struct {
		kind ICMPKind
		want error
	}{
		{ICMPHostUnreachable, ErrHostUnreachable},
		{ICMPNetUnreachable, ErrNetUnreachable},
		{ICMPPortUnreachable, ErrRefused},
		{ICMPParameterProblem, ErrProtocol},
	} {
		s := established(t, scriptOptions{})
		if err := s.c.SoftErr(); err != nil {
			t.Errorf("error %v before any", err)
		}
		s.write(100)
		s.drain(1)
		s.events = 0
		s.c.ICMP(c.kind, 0, s.iss.Add(5000), s.now) // about what was not sent
		s.takeEvents()
		s.wantEvents(0)
		s.c.ICMP(c.kind, 0, s.iss.Add(1), s.now)
		s.takeEvents()
		s.wantEvents(EventUnreachable)
		s.wantState(StateEstablished)
		if err := s.c.SoftErr(); !errors.Is(err, c.want) {
			t.Errorf("error %v, want %v", err, c.want)
		}
		s.inject(seg{flags: fA, seq: 1, ack: 101, len: 10})
		s.wantRead(10)
		if err := s.c.SoftErr(); err != nil {
			t.Errorf("error %v although what was sent has arrived since", err)
		}
	}
}

// TestKeepAliveDefault has no probe be sent unless asked for (MUST-25), and after two hours if no time is given (MUST-28).
func TestKeepAliveDefault(t *testing.T) {
	s := established(t, scriptOptions{})
	if d := s.c.Deadline(); d != clock.Never {
		t.Errorf("a timer runs on an idle connection: %v", d.Sub(s.now))
	}
	s.c.SetKeepAlive(-1, s.now)
	s.wantTimer(2 * time.Hour)
	s.c.SetKeepAlive(time.Minute, s.now)
	s.wantTimer(time.Minute)
	s.c.SetKeepAlive(0, s.now)
	if d := s.c.Deadline(); d != clock.Never {
		t.Errorf("a timer runs although probes are off: %v", d.Sub(s.now))
	}
	e := established(t, scriptOptions{cfg: Config{KeepAlive: KeepAlive{Idle: -1}}})
	e.wantTimer(2 * time.Hour)
}

// TestKeepAliveOnlyIfIdle has no keep-alive be sent while something is outstanding or the peer's window is closed (MUST-26): other timers
// ask then.
func TestKeepAliveOnlyIfIdle(t *testing.T) {
	cfg := Config{NoDelay: true, KeepAlive: KeepAlive{Idle: time.Second, Interval: time.Second}}
	s := established(t, scriptOptions{cfg: cfg})
	s.write(100)
	s.drain(1)
	for s.now.Sub(s.c.snd.progressAt) < time.Minute {
		s.expire()
		s.drain(1)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 101, closed: true})
	s.write(100)
	for range 10 {
		s.expire()
		s.drain(1)
		s.inject(seg{flags: fA, seq: 1, ack: 101, closed: true})
	}
	if n := s.k.Stats.KeepAlives; n > 1 {
		t.Errorf("%d keep-alives", n)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 101})
	s.drain(3)
	s.inject(seg{flags: fA, seq: 1, ack: 201})
	n := s.k.Stats.KeepAlives
	s.advance(time.Second)
	s.want(seg{flags: fA, seq: 200, ack: 1})
	if s.k.Stats.KeepAlives != n+1 {
		t.Error("no keep-alive once it was idle")
	}
}

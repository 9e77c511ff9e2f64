package tcp

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const fFA = FlagFIN | FlagACK

// TestHalfCloseHere has this side close first and go on reading.
func TestHalfCloseHere(t *testing.T) {
	s := established(t, wraps)
	s.c.CloseWrite(s.now)
	s.wantState(StateFinWait1)
	s.want(seg{flags: fFA, seq: 1, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 2})
	s.wantState(StateFinWait2)
	s.advance(10 * time.Minute) // the application reads on: no bound on how long
	s.wantState(StateFinWait2)
	s.inject(seg{flags: fA, seq: 1, ack: 2, len: 1448}, seg{flags: fA, seq: 1449, ack: 2, len: 1448})
	s.want(seg{flags: fA, seq: 2, ack: 2897})
	s.wantRead(2896)
	s.drain(1)
	s.events = 0
	s.inject(seg{flags: fFA, seq: 2897, ack: 2})
	s.wantState(StateTimeWait)
	s.wantEvents(EventPeerClosed | EventTimeWait)
	s.want(seg{flags: fA, seq: 2, ack: 2898})
	s.wantNothing()
	s.wantTimer(60 * time.Second)
	s.expire()
	s.wantState(StateClosed)
	s.wantEvents(EventClosed)
	if s.c.Err() != nil {
		t.Errorf("error %v after both sides closed", s.c.Err())
	}
}

// TestHalfCloseThere has the peer close first and go on reading.
func TestHalfCloseThere(t *testing.T) {
	s := established(t, wraps)
	s.events = 0
	s.inject(seg{flags: fFA, seq: 1, ack: 1, len: 100})
	s.wantState(StateCloseWait)
	s.wantEvents(EventReadable | EventPeerClosed)
	s.want(seg{flags: fA, seq: 1, ack: 102})
	s.wantRead(100)
	s.write(3000)
	s.wantData(1, 2897, 1448, 102)
	s.inject(seg{flags: fA, seq: 102, ack: 2897})
	s.want(seg{flags: fA, seq: 2897, len: 104, ack: 102})
	s.c.CloseWrite(s.now)
	s.wantState(StateLastAck)
	s.want(seg{flags: fFA, seq: 3001, ack: 102})
	s.inject(seg{flags: fA, seq: 102, ack: 3001})
	s.wantState(StateLastAck)
	s.inject(seg{flags: fA, seq: 102, ack: 3002})
	s.wantState(StateClosed)
	s.wantEvents(EventClosed)
	s.wantNothing()
	if s.c.Err() != nil {
		t.Errorf("error %v after both sides closed", s.c.Err())
	}
}

// TestSimultaneousClose is RFC 9293 figure 13.
func TestSimultaneousClose(t *testing.T) {
	s := established(t, wraps)
	s.c.CloseWrite(s.now)
	s.want(seg{flags: fFA, seq: 1, ack: 1})
	s.inject(seg{flags: fFA, seq: 1, ack: 1})
	s.wantState(StateClosing)
	s.want(seg{flags: fA, seq: 2, ack: 2})
	s.inject(seg{flags: fA, seq: 2, ack: 2})
	s.wantState(StateTimeWait)
	s.wantNothing()
	s.inject(seg{flags: fFA, seq: 1, ack: 2})
	s.want(seg{flags: fA, seq: 2, ack: 2})
}

// TestFINWithACKOfFIN goes from FIN-WAIT-1 to TIME-WAIT in one step.
func TestFINWithACKOfFIN(t *testing.T) {
	s := established(t, wraps)
	s.write(100)
	s.c.CloseWrite(s.now)
	s.want(seg{flags: fFA, seq: 1, len: 100, ack: 1}) // the FIN goes with the data
	s.inject(seg{flags: fFA, seq: 1, ack: 102})
	s.wantState(StateTimeWait)
	s.want(seg{flags: fA, seq: 102, ack: 2})
}

// TestLostFIN has the FIN come again until it is acknowledged: alone, and with the data it went with.
func TestLostFIN(t *testing.T) {
	for _, n := range []uint32{0, 100} {
		s := established(t, scriptOptions{iss: 1<<32 - 1, mss: 1000})
		s.write(int(n))
		s.c.CloseWrite(s.now)
		s.want(seg{flags: fFA, seq: 1, len: n, ack: 1})
		for _, d := range []time.Duration{200 * ms, 400 * ms, 800 * ms} {
			s.wantTimer(d)
			s.expire()
			s.want(seg{flags: fFA, seq: 1, len: n, ack: 1})
			s.wantNothing()
		}
		s.inject(seg{flags: fA, seq: 1, ack: n + 2})
		s.wantState(StateFinWait2)
		s.advance(time.Hour)
		s.wantNothing()
	}
}

// TestLostFINOnly has the data arrive and the FIN behind it not.
func TestLostFINOnly(t *testing.T) {
	s := established(t, scriptOptions{iss: 1<<32 - 1, mss: 1000, sack: true})
	s.write(2500)
	s.c.CloseWrite(s.now)
	s.wantData(1, 2001, 1000, 1)
	s.want(seg{flags: fFA, seq: 2001, len: 500, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 2501})
	s.wantState(StateFinWait1)
	s.expire()
	s.want(seg{flags: fFA, seq: 2501, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 2502})
	s.wantState(StateFinWait2)
}

// TestLostLastACK has the peer's FIN come again in LAST-ACK and in TIME-WAIT.
func TestLostLastACK(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fFA, seq: 1, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 2})
	s.c.Close(s.now)
	s.wantState(StateLastAck)
	s.want(seg{flags: fFA, seq: 1, ack: 2})
	s.inject(seg{flags: fFA, seq: 1, ack: 1})
	s.want(seg{flags: fA, seq: 2, ack: 2})
	s.inject(seg{flags: fA, seq: 2, ack: 2})
	s.wantState(StateClosed)
}

// TestTimeWait has the wait restart with the peer's FIN, survive resets (RFC 1337), and be replaceable by a record.
func TestTimeWait(t *testing.T) {
	s := established(t, wraps)
	s.c.CloseWrite(s.now)
	s.want(seg{flags: fFA, seq: 1, ack: 1})
	s.inject(seg{flags: fFA, seq: 1, ack: 2})
	s.want(seg{flags: fA, seq: 2, ack: 2})
	s.advance(30 * time.Second)
	s.inject(seg{flags: FlagRST, seq: 2})
	s.wantState(StateTimeWait)
	s.inject(seg{flags: fFA, seq: 1, ack: 2})
	s.want(seg{flags: fA, seq: 2, ack: 2})
	s.wantTimer(60 * time.Second)

	rec := s.c.TimeWaitRecord()
	if rec.SndNxt != s.iss+2 || rec.RcvNxt != s.irs+2 || !rec.HasTS || rec.TSRecent != s.c.ts.recent || rec.TSOffset != s.c.ts.offset {
		t.Errorf("%+v", rec)
	}
	table := NewTimeWaitTable(s.k, 0)
	table.Add(s.flow, rec, s.now)
	var out OutSegment
	in := Segment{Seq: s.irs + 1, Ack: s.iss + 2, Flags: fFA, Options: Options{HasTS: true, TSVal: s.peerTS()}}
	if found, v := table.Input(s.flow, &in, true, s.now.Add(time.Second), &out); !found || v != VerdictReply || out.Ack != s.irs+2 {
		t.Errorf("the record answers the FIN with %v, %d: %+v", found, v, out)
	}
}

// TestCloseWithUnreadData has a reset tell the peer that its data was not read (RFC 2525 section 2.17).
func TestCloseWithUnreadData(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
	s.c.Close(s.now)
	s.wantState(StateClosed)
	s.want(seg{flags: FlagRST | FlagACK, seq: 1, ack: 101})
	s.wantNothing()
	if !errors.Is(s.c.Err(), ErrAborted) {
		t.Errorf("error %v", s.c.Err())
	}
}

// TestDataAfterClose has data that comes after Close be answered with a reset, in each state in which it can.
func TestDataAfterClose(t *testing.T) {
	for _, acked := range []bool{false, true} {
		s := established(t, wraps)
		s.c.Close(s.now)
		s.want(seg{flags: fFA, seq: 1, ack: 1})
		ackNo := uint32(1)
		if acked {
			s.inject(seg{flags: fA, seq: 1, ack: 2})
			s.wantState(StateFinWait2)
			ackNo = 2
		}
		s.inject(seg{flags: fA, seq: 1, ack: ackNo, len: 100})
		s.wantState(StateClosed)
		if o, ok := s.pull(); !ok || o.Flags&FlagRST == 0 || o.Seq != s.iss+2 {
			t.Errorf("the answer is %v %s", ok, s.relative(&o))
		}
		s.wantNothing()
	}
}

// TestDataAfterFIN has what lies beyond the peer's FIN be ignored.
func TestDataAfterFIN(t *testing.T) {
	s := established(t, wraps)
	s.inject(seg{flags: fFA, seq: 1, ack: 1, len: 10})
	s.want(seg{flags: fA, seq: 1, ack: 12})
	s.inject(seg{flags: fA, seq: 12, ack: 1, len: 100})
	s.drain(1)
	s.wantRead(10)
	s.wantState(StateCloseWait)
}

// TestFinWait2Ends has a connection that the application closed not wait for ever for a peer that does not.
func TestFinWait2Ends(t *testing.T) {
	s := established(t, wraps)
	s.c.Close(s.now)
	s.want(seg{flags: fFA, seq: 1, ack: 1})
	s.inject(seg{flags: fA, seq: 1, ack: 2})
	s.wantState(StateFinWait2)
	s.wantTimer(60 * time.Second)
	s.expire()
	s.wantState(StateClosed)
}

func TestLinger(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000, cfg: Config{Linger: 5 * time.Second}})
	s.write(1000)
	s.c.Close(s.now)
	s.want(seg{flags: fFA, seq: 1, len: 1000, ack: 1})
	start := s.now
	for s.c.State() != StateClosed {
		s.expire()
		for {
			o, ok := s.pull()
			if !ok {
				break
			}
			if o.Flags&FlagRST != 0 && s.now.Sub(start) != 5*time.Second {
				t.Errorf("reset after %v", s.now.Sub(start))
			}
		}
	}
	if !errors.Is(s.c.Err(), ErrTimeout) {
		t.Errorf("error %v", s.c.Err())
	}
}

func TestAbort(t *testing.T) {
	s := established(t, wraps)
	s.write(5000)
	s.drain(4)
	s.inject(seg{flags: fA, seq: 1, ack: 1449, len: 100})
	s.c.Abort(s.now)
	s.wantState(StateClosed)
	o, ok := s.pull()
	if !ok || o.Flags&FlagRST == 0 || o.Seq != s.c.snd.nxt {
		t.Errorf("Abort sends %v %s", ok, s.relative(&o))
	}
	s.wantNothing()
	if s.c.Deadline() != clock.Never {
		t.Error("a timer runs on")
	}
	s.inject(seg{flags: fA, seq: 101, ack: 1, len: 10})
	s.wantNothing()
}

// TestReset is the error that an application sees, in each state.
func TestReset(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(s *script)
		want  error
	}{
		{"ESTABLISHED", func(*script) {}, ErrReset},
		{"FIN-WAIT-1", func(s *script) { s.c.CloseWrite(s.now); s.drain(1) }, ErrReset},
		{"FIN-WAIT-2", func(s *script) { s.c.CloseWrite(s.now); s.drain(1); s.inject(seg{flags: fA, seq: 1, ack: 2}) }, ErrReset},
		{"CLOSE-WAIT", func(s *script) { s.inject(seg{flags: fFA, seq: 1, ack: 1}); s.drain(1) }, ErrReset},
		{"LAST-ACK", func(s *script) { s.inject(seg{flags: fFA, seq: 1, ack: 1}); s.c.CloseWrite(s.now); s.drain(1) }, nil},
		{"CLOSING", func(s *script) {
			s.c.CloseWrite(s.now)
			s.drain(1)
			s.inject(seg{flags: fFA, seq: 1, ack: 1})
			s.drain(1)
		}, nil},
	} {
		s := established(t, wraps)
		c.steps(s)
		if got := s.c.State().String(); got != c.name {
			t.Fatalf("state %s, want %s", got, c.name)
		}
		s.inject(seg{flags: FlagRST, seq: uint32(s.c.rcv.nxt - s.irs)})
		s.wantState(StateClosed)
		s.wantNothing()
		if err := s.c.Err(); err == nil && c.want != nil || err != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		} else if errors.Is(c.want, ErrReset) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v does not match ECONNRESET", c.name, err)
		}
	}
}

// TestBlindAttacks is RFC 5961: what a stranger who guesses numbers can do to a connection, which is to have it send ACKs.
func TestBlindAttacks(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     seg
		answer bool
		state  State
	}{
		{"reset at the number", seg{flags: FlagRST, seq: 1}, false, StateClosed},
		{"reset with ACK at the number", seg{flags: FlagRST | FlagACK, seq: 1, ack: 1}, false, StateClosed},
		{"reset in the window", seg{flags: FlagRST, seq: 2}, true, StateEstablished},
		{"reset at the window's end", seg{flags: FlagRST, seq: 65_000}, true, StateEstablished},
		{"reset before the window", seg{flags: FlagRST, seq: 0}, false, StateEstablished},
		{"reset beyond the window", seg{flags: FlagRST, seq: 10_000_000}, false, StateEstablished},
		{"SYN at the number", seg{flags: FlagSYN, seq: 1}, true, StateEstablished},
		{"SYN in the window", seg{flags: FlagSYN, seq: 5}, true, StateEstablished},
		{"SYN outside", seg{flags: FlagSYN, seq: 1 << 30}, true, StateEstablished},
		{"the first SYN again", seg{flags: FlagSYN}, true, StateEstablished},
		{"SYN-ACK", seg{flags: FlagSYN | FlagACK, seq: 1, ack: 1}, true, StateEstablished},
		{"SYN with reset", seg{flags: FlagSYN | FlagRST, seq: 5}, true, StateEstablished},
		{"data that acknowledges the future", seg{flags: fA, seq: 1, ack: 2, len: 100}, true, StateEstablished},
		{"data that acknowledges the far future", seg{flags: fA, seq: 1, ack: 1 << 30, len: 100}, true, StateEstablished},
		{"data that acknowledges long ago", seg{flags: fA, seq: 1, ack: 1<<32 - 70_000, len: 100}, true, StateEstablished},
		{"data without ACK", seg{flags: FlagPSH, seq: 1, len: 100}, false, StateEstablished},
		{"FIN without ACK", seg{flags: FlagFIN, seq: 1}, false, StateEstablished},
		{"data outside", seg{flags: fA, seq: 1 << 30, ack: 1, len: 100}, true, StateEstablished},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := established(t, scriptOptions{iss: 1<<32 - 1, irs: 1<<32 - 1, sack: true})
			s.inject(c.in)
			s.wantState(c.state)
			if c.answer {
				s.want(seg{flags: fA, seq: 1, ack: 1})
			}
			s.wantNothing()
			if c.state == StateEstablished {
				s.inject(seg{flags: fA, seq: 1, ack: 1, len: 10})
				s.wantRead(10)
			}
		})
	}
}

// TestChallengeACKsAreLimited has a flood of resets and SYNs be answered at a limited rate (RFC 5961 section 7): by each connection,
// and by all of them together.
func TestChallengeACKsAreLimited(t *testing.T) {
	s := established(t, scriptOptions{})
	answers := 0
	for range 5000 {
		s.inject(seg{flags: FlagSYN, seq: 5})
		answers += s.drain(1)
		s.c.outside = 0 // as if it were the next connection's turn
	}
	if answers < challengeRate/2 || answers > challengeRate {
		t.Errorf("%d answers of all connections in a second", answers)
	}
	s.advance(time.Second)
	s.inject(seg{flags: FlagRST, seq: 5})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	for range 100 {
		s.inject(seg{flags: FlagRST, seq: 5}, seg{flags: FlagSYN, seq: 1}, seg{flags: fA, seq: 1, ack: 1000})
		s.wantNothing()
	}
	s.advance(outsideInterval)
	s.inject(seg{flags: FlagRST, seq: 5})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	for range 2 {
		s.advance(outsideInterval)
		s.inject(seg{flags: FlagSYN, seq: 1 << 30}) // RFC 5961 section 4.2: a challenge, whatever the number
		s.want(seg{flags: fA, seq: 1, ack: 1})
		for range 100 {
			s.inject(seg{flags: FlagSYN, seq: 1 << 30}, seg{flags: FlagSYN | FlagACK, ack: 1})
			s.wantNothing()
		}
	}
}

// TestBareFINOutOfOrder has a FIN without data behind a hole be answered at once like data there, each time that it comes.
func TestBareFINOutOfOrder(t *testing.T) {
	s := established(t, sends)
	s.inject(seg{flags: fA | FlagFIN, seq: 1001, ack: 1}, seg{flags: fA | FlagFIN, seq: 1001, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 1002})
	s.wantNothing()
	s.wantRead(1000)
	s.wantState(StateCloseWait)
	s.inject(seg{flags: fA | FlagFIN, seq: 1001, ack: 1})
	s.want(seg{flags: fA, seq: 1, ack: 1002})
	s.wantNothing()
}

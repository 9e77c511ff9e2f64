package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// slowStart is a connection in its first slow start that uses all of its window.
type slowStart struct {
	Congestion
	t             *testing.T
	now           clock.Time
	una, nxt, end Seq // end: of the present round
}

func newSlowStart(t *testing.T, segments uint32) *slowStart {
	s := &slowStart{t: t, now: clock.Time(time.Second), una: 1<<32 - 30_000} // rounds cross the wrap
	s.Init(Cubic, testMSS, segments)
	s.begin()
	return s
}

// begin sends a whole window.
func (s *slowStart) begin() {
	s.send()
	s.end = s.nxt
}

// send fills the window.
func (s *slowStart) send() {
	s.nxt = s.una.Add(s.Window())
	s.OnSent(s.Window(), s.una, s.nxt)
}

// round lets a round be acknowledged, so many bytes at a time, with that round-trip time. It returns how many bytes were
// acknowledged and by how many the window has grown.
func (s *slowStart) round(rtt time.Duration, each uint32) (acked, grown uint32) {
	s.now = s.now.Add(rtt)
	first, before, end := s.una, s.Window(), s.end
	for s.una.Less(end) {
		n := min(each, uint32(end-s.una))
		s.una = s.una.Add(n)
		s.end = s.nxt // what is sent because of the ACK that ends a round belongs to the one after the next
		s.OnAck(&Ack{Now: s.now, RTT: rtt, SRTT: rtt, Acked: n, InFlight: uint32(s.nxt - s.una), Una: s.una, Nxt: s.nxt})
		s.send()
	}
	if s.end == s.una {
		s.end = s.nxt // nothing was in flight
	}
	return uint32(end - first), s.Window() - before
}

// doubles is a round that must let the window grow by all that is acknowledged.
func (s *slowStart) doubles(rtt time.Duration) {
	s.t.Helper()
	if acked, grown := s.round(rtt, 2*testMSS); acked != grown {
		s.t.Errorf("with an RTT of %v the window grows by %d for %d bytes, to %d", rtt, grown, acked, s.Window())
	}
}

// slows is a round that must let it grow by all that the first so many ACKs acknowledge, and by a quarter of the rest.
func (s *slowStart) slows(rtt time.Duration, after uint32) {
	s.t.Helper()
	acked, grown := s.round(rtt, 2*testMSS)
	if want := after*2*testMSS + (acked-after*2*testMSS)/4; grown < want-1 || grown > want {
		s.t.Errorf("with an RTT of %v the window grows by %d for %d bytes, to %d, want by %d", rtt, grown, acked, s.Window(), want)
	}
}

func (s *slowStart) over() bool { return s.Ssthresh() != infSsthresh }

// TestHyStartEndsSlowStart has a rise of the round-trip time slow the growth down to a quarter, and five rounds like that end slow start
// (RFC 9406 section 4.2).
func TestHyStartEndsSlowStart(t *testing.T) {
	s := newSlowStart(t, 32)
	s.doubles(40 * ms)
	s.doubles(40 * ms)
	s.slows(46*ms, 7) // The eighth measurement of the round shows the rise.
	for range 3 {
		s.slows(50*ms, 0)
	}
	if s.over() {
		t.Fatal("slow start ended early")
	}
	s.round(50*ms, 2*testMSS)
	if s.Ssthresh() != s.Window() {
		t.Fatalf("after five rounds: window %d, threshold %d", s.Window(), s.Ssthresh())
	}
	if acked, grown := s.round(50*ms, 2*testMSS); grown > 2*testMSS {
		t.Errorf("after slow start the window grows by %d for %d bytes", grown, acked)
	}
}

// TestHyStartResumes has a rise that was only jitter change no more than the pace of that round, until the eighth measurement of the
// next shows that it is over (section 4.2).
func TestHyStartResumes(t *testing.T) {
	s := newSlowStart(t, 32)
	s.doubles(40 * ms)
	s.slows(46*ms, 7)
	if acked, grown := s.round(43*ms, 2*testMSS); grown != acked-7*1500 {
		t.Errorf("when the jitter is over the window grows by %d for %d bytes", grown, acked)
	}
	for range 6 {
		s.doubles(43 * ms)
	}
	if s.over() {
		t.Error("slow start ended")
	}
}

// TestHyStartThreshold has the rise that matters be an eighth of the round-trip time, but 4 ms at least and 16 ms at most.
func TestHyStartThreshold(t *testing.T) {
	for _, c := range []struct{ rtt, stays, slows time.Duration }{
		{100 * time.Microsecond, 4000 * time.Microsecond, 4200 * time.Microsecond},
		{10 * ms, 13900 * time.Microsecond, 14100 * time.Microsecond},
		{80 * ms, 89900 * time.Microsecond, 90100 * time.Microsecond},
		{1000 * ms, 1015900 * time.Microsecond, 1016100 * time.Microsecond},
		{5 * time.Second, 10 * time.Second, 0}, // more than is counted
	} {
		s := newSlowStart(t, 32)
		s.doubles(c.rtt)
		s.doubles(c.stays)
		if c.slows != 0 {
			s = newSlowStart(t, 32)
			s.doubles(c.rtt)
			s.slows(c.slows, 7)
		}
	}
}

// TestHyStartNeedsSamples has seven measurements in a round, or ACKs that measure nothing, not be enough.
func TestHyStartNeedsSamples(t *testing.T) {
	s := newSlowStart(t, 14)
	for rtt := 10 * ms; rtt < time.Second; rtt *= 2 {
		if acked, grown := s.round(rtt, uint32(s.end-s.una)/7+1); acked != grown {
			t.Errorf("with an RTT of %v the window grows by %d for %d bytes", rtt, grown, acked)
		}
	}
	s.doubles(0)
	s.doubles(0)
	if s.over() {
		t.Error("slow start ended")
	}
}

// TestHyStartOnlyOnce has slow start after a loss, which knows where to end, not look at round-trip times.
func TestHyStartOnlyOnce(t *testing.T) {
	s := newSlowStart(t, 200)
	s.OnRTO(&Loss{InFlight: 200_000}, false)
	s.begin()
	for rtt := 10 * ms; s.Window() < 60_000; rtt *= 2 {
		s.doubles(rtt)
	}
	if s.Ssthresh() != 140_000 {
		t.Errorf("threshold %d", s.Ssthresh())
	}
}

// TestHyStartAfterIdle has a connection without a loss begin anew after a long pause: what it measured before is not compared.
func TestHyStartAfterIdle(t *testing.T) {
	s := newSlowStart(t, 32)
	s.doubles(40 * ms)
	s.doubles(40 * ms)
	s.una = s.nxt
	s.OnIdle(s.now, true)
	if s.Window() != 32*testMSS {
		t.Errorf("window %d after a long pause", s.Window())
	}
	s.begin()
	s.doubles(80 * ms)
	s.doubles(80 * ms)
	s.slows(95*ms, 7)
}

package tcp

import (
	"testing"
	"time"
)

// paced is a connection with a round trip of 100 ms that sends segments of 1,000 bytes.
func paced(t *testing.T, cfg Config) *script {
	t.Helper()
	s := established(t, scriptOptions{iss: 1<<32 - 5000, mss: 1000, sack: true, cfg: cfg})
	s.write(1000)
	s.drain(10)
	s.advance(100 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	return s
}

// pulled takes up to n segments that are due, and returns how many there were.
func pulled(s *script, n int) int {
	for i := range n {
		if _, ok := s.pull(); !ok {
			return i
		}
	}
	return n
}

// departures lets so many segments go, and returns when each did, counted from now.
func departures(s *script, n int) (at []time.Duration) {
	s.t.Helper()
	start := s.now
	for {
		for pulled(s, 1) == 1 {
			if at = append(at, s.now.Sub(start)); len(at) == n {
				return at
			}
		}
		s.expire()
	}
}

// TestPacingSpreadsTheWindow has the window of slow start go out in half a round trip: at twice the window in each of them.
func TestPacingSpreadsTheWindow(t *testing.T) {
	s := paced(t, Config{Pacing: true, Congestion: "newreno"})
	s.write(30_000)
	i := s.c.Info()
	rate, want := s.c.PacingRate(), 2*uint64(i.CWnd)*uint64(time.Second)/uint64(i.RTT)
	if rate != want {
		t.Fatalf("%d bytes/s, want %d: twice the window in a round trip", rate, want)
	}
	each := time.Duration(1e12 / rate)
	at := departures(s, 10)
	for i, d := range at {
		if want := max(time.Duration(i)*each-paceSlack, 0); d != want {
			t.Errorf("segment %d goes after %v, want %v", i, d, want)
		}
	}
}

// TestPacingMakesUpForALateTimer has a timer that is late by less than paceSlack not lower the rate, and a pause not give a burst.
func TestPacingMakesUpForALateTimer(t *testing.T) {
	s := paced(t, Config{MaxPacingRate: 2_000_000, InitialWindow: 40}) // a segment in 500 µs
	s.write(20_000)
	sent := pulled(s, 100)
	for range 5 {
		s.now = s.c.Deadline().Add(time.Millisecond)
		s.k.BeginBatch(s.now)
		s.c.Expire(s.now)
		n := pulled(s, 100)
		if sent += n; n > 4 {
			t.Errorf("a burst of %d segments", n)
		}
	}
	departures(s, 20-sent)
	s.inject(seg{flags: fA, seq: 1, ack: 21_001})
	s.drain(100)
	s.advance(time.Second)
	s.write(20_000)
	if n := pulled(s, 100); n > 4 {
		t.Errorf("after a pause: a burst of %d segments", n)
	}
}

// TestMaxPacingRate is Linux's SO_MAX_PACING_RATE.
func TestMaxPacingRate(t *testing.T) {
	s := paced(t, Config{InitialWindow: 40})
	s.c.SetMaxPacingRate(100_000, s.now)
	s.write(40_000)
	at := departures(s, 12)
	if got := at[11] - at[1]; got != 100*ms {
		t.Errorf("10 segments of 1,000 bytes took %v at 100,000 bytes/s", got)
	}
	if i := s.c.Info(); i.PacingRate != 100_000 {
		t.Errorf("%+v", i)
	}
	s.c.SetMaxPacingRate(0, s.now)
	if n := pulled(s, 100); n != 28 {
		t.Errorf("%d segments went without a bound, want the rest of 40", n)
	}
	if got := s.c.PacingRate(); got != 0 {
		t.Errorf("pacing rate %d without pacing", got)
	}
}

// TestPacingDelaysNoRepair has the first segment of a recovery go at once, and the others in their time.
func TestPacingDelaysNoRepair(t *testing.T) {
	s := paced(t, Config{InitialWindow: 20, MaxPacingRate: 1_000_000})
	s.write(20_000)
	departures(s, 20)
	s.advance(10 * ms)
	s.c.SetMaxPacingRate(10_000, s.now)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{2001, 3001}}})
	s.write(3000)
	pulled(s, 2)
	s.inject(seg{flags: fA, seq: 1, ack: 1001, sack: []SACKBlock{{10_001, 21_001}}})
	if o, ok := s.pull(); !ok || uint32(o.Seq-s.iss) != 1001 {
		t.Fatalf("the fast retransmit does not go at once: %+v", o)
	}
	s.wantNothing()
	if s.c.snd.lost == 0 {
		t.Fatal("nothing else is lost: this test shows nothing")
	}
	before := s.now
	s.expire()
	if o, ok := s.pull(); !ok || uint32(o.Seq-s.iss) != 3001 || s.now.Sub(before) < 50*ms {
		t.Errorf("after %v: %+v", s.now.Sub(before), o)
	}
}

// TestPacingDelaysNoACKOrFIN has what is no data not wait.
func TestPacingDelaysNoACKOrFIN(t *testing.T) {
	s := paced(t, Config{MaxPacingRate: 1000})
	s.write(1000)
	s.drain(10) // the next second is taken
	s.inject(seg{flags: fA, seq: 1, ack: 1001, len: 1000}, seg{flags: fA, seq: 1001, ack: 1001, len: 1000})
	s.want(seg{flags: fA, seq: 2001, ack: 2001})
	s.wantRead(2000)
	s.c.Close(s.now)
	s.want(seg{flags: fA | FlagFIN, seq: 2001, ack: 2001})
}

// TestPacingTimerOnlyWhenDataWaits has no timer run for pacing when there is nothing to pace.
func TestPacingTimerOnlyWhenDataWaits(t *testing.T) {
	s := paced(t, Config{MaxPacingRate: 1000})
	s.write(1000)
	s.drain(10)
	if s.c.rare().paceAt <= s.now {
		t.Fatal("the next segment need not wait")
	}
	s.inject(seg{flags: fA, seq: 1, ack: 2001})
	if d := s.c.Deadline(); d < s.now.Add(time.Hour) {
		t.Errorf("a timer runs out after %v", d.Sub(s.now))
	}
	s.write(1)
	if d := s.c.Deadline(); d != s.c.rare().paceAt {
		t.Errorf("the timer runs out after %v, want it for the segment", d.Sub(s.now))
	}
}

// TestSetCongestion has a connection change its congestion control and keep its window.
func TestSetCongestion(t *testing.T) {
	s := paced(t, Config{})
	before := s.c.Info()
	if before.Congestion != "cubic" {
		t.Fatalf("%+v", before)
	}
	if err := s.c.SetCongestion("reno"); err != nil {
		t.Fatal(err)
	}
	if i := s.c.Info(); i.Congestion != "newreno" || i.CWnd != before.CWnd || s.c.Config().Congestion != "newreno" {
		t.Errorf("%+v", i)
	}
	if s.c.SetCongestion("vegas") == nil {
		t.Error("an unknown name is taken")
	}
	if s.k.Config.Congestion != "" {
		t.Error("the configuration of all connections changed")
	}
}

// TestPacedTransfersUnderLoss has transfers that are paced, by any algorithm or at a bound, come through faults as others do.
func TestPacedTransfersUnderLoss(t *testing.T) {
	for name, cfg := range map[string]Config{
		"bbr": {Congestion: "bbr"}, "cubic": {Pacing: true}, "newreno": {Congestion: "newreno", Pacing: true},
		"dctcp": {Congestion: "dctcp", Pacing: true}, "bound": {MaxPacingRate: 5_000_000},
		"bbr without SACK": {Congestion: "bbr", NoSACK: true}, "bbr without timestamps": {Congestion: "bbr", NoTimestamps: true},
	} {
		t.Run(name, func(t *testing.T) {
			sum := transfersUnder(t, 30, 300_000, cfg, func(n *network) { n.loss, n.jitter = 0.03, 2*time.Millisecond })
			t.Logf("%d timeouts, %d segments sent again, %v", sum.timeouts, sum.retransmits, sum.took)
			if !cfg.NoSACK && sum.timeouts > 30 {
				t.Errorf("%d timeouts of 30 transfers", sum.timeouts)
			}
		})
	}
}

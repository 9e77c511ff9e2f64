package tcp

import (
	"reflect"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const testMSS = 1000

// fullAck acknowledges so many bytes of a connection that uses all of its window.
func fullAck(c *Congestion, n uint32) {
	c.OnSent(c.Window(), 0, 1)
	c.OnAck(&Ack{Acked: n})
}

func TestInitialWindow(t *testing.T) {
	for _, c := range []struct{ mss, segments, want uint32 }{
		{1460, 10, 14600},
		{536, 10, 5360},
		{8960, 10, 17920}, // two segments
		{2000, 10, 14600},
		{1460, 1, 1460}, // the SYN was lost
		{8960, 1, 8960},
		{0, 1, MinMSS},
	} {
		var cc Congestion
		cc.Init(NewReno, c.mss, c.segments)
		if got := cc.Window(); got != c.want {
			t.Errorf("%d segments of %d bytes: %d, want %d", c.segments, c.mss, got, c.want)
		}
	}
}

func TestSlowStartDoubles(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 10)
	for _, want := range []uint32{20_000, 40_000, 80_000} {
		for w := c.Window(); w > 0; w -= 2 * testMSS { // one ACK for each two segments
			fullAck(&c, 2*testMSS)
		}
		if got := c.Window(); got != want {
			t.Errorf("window %d, want %d", got, want)
		}
	}
}

func TestCongestionAvoidanceAddsOneSegment(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 40)
	c.OnLoss(&Loss{InFlight: 43_000}) // three segments of limited transmit
	if c.Window() != 20_000 || c.Ssthresh() != 20_000 {
		t.Fatalf("after a loss: window %d, threshold %d; want half of what was in flight", c.Window(), c.Ssthresh())
	}
	for round := range uint32(5) {
		for w := c.Window(); w > 0; w -= testMSS {
			fullAck(&c, testMSS)
		}
		if got, want := c.Window(), 20_000+(round+1)*testMSS; got != want {
			t.Errorf("after round trip %d: window %d, want %d", round, got, want)
		}
	}
}

func TestWindowOfPartSegmentsGrowsInARoundTrip(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 13)
	c.OnLoss(&Loss{InFlight: 13_000})
	for round := range uint32(5) {
		for range 6 + round { // as many segments as 6.5, 7.5, … have room for
			fullAck(&c, testMSS)
		}
		if got, want := c.Window(), 7_500+round*testMSS; got != want {
			t.Errorf("after round trip %d: window %d, want %d", round+1, got, want)
		}
	}
}

// TestAcksBeforeALossDoNotCountAgainstTheWindow has a batch of ACKs acknowledge a good part of a full window, and then tell that one
// segment of it was lost, before the connection could send again.
func TestAcksBeforeALossDoNotCountAgainstTheWindow(t *testing.T) {
	for _, a := range []struct {
		algorithm CongestionAlgorithm
		want      uint32
	}{{NewReno, 10_000}, {Cubic, 14_000}} {
		var c Congestion
		c.Init(a.algorithm, testMSS, 20)
		c.ssthresh = c.cwnd // in congestion avoidance
		c.OnSent(20_000, 0, 20_000)
		c.OnAck(&Ack{Acked: 12_000, InFlight: 8_000, Una: 12_000, Nxt: 20_000})
		c.cwnd = 20_000
		c.OnLoss(&Loss{InFlight: 8_000, Una: 12_000, Nxt: 20_000})
		if got := c.Window(); got != a.want {
			t.Errorf("%v: window %d, want %d: it was full a moment before", a.algorithm, got, a.want)
		}
		// A window that was not used in the present round trip gives what was.
		c.Init(a.algorithm, testMSS, 20)
		c.OnSent(20_000, 0, 20_000)
		c.OnSent(5_000, 20_000, 25_000)
		c.OnLoss(&Loss{InFlight: 5_000, Una: 20_000, Nxt: 25_000})
		if got := c.Window(); got > 5_000 {
			t.Errorf("%v: window %d after a loss among 5 segments", a.algorithm, got)
		}
	}
}

func TestSlowStartEndsAtThreshold(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 10)
	c.OnRTO(&Loss{InFlight: 10_000}, false)
	if c.Window() != testMSS || c.Ssthresh() != 5_000 {
		t.Fatalf("after a timeout: window %d, threshold %d", c.Window(), c.Ssthresh())
	}
	fullAck(&c, 1_000)
	fullAck(&c, 2_000)
	fullAck(&c, 4_000) // 1,000 of them take the window to the threshold, the others count for avoidance
	if got := c.Window(); got != 5_000 {
		t.Errorf("window %d, want the threshold", got)
	}
	fullAck(&c, 2_000)
	if got := c.Window(); got != 6_000 {
		t.Errorf("window %d, want one segment more for a whole window acknowledged", got)
	}
}

func TestRepeatedTimeoutKeepsThreshold(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 10)
	c.OnRTO(&Loss{InFlight: 10_000}, false)
	c.OnRTO(&Loss{InFlight: 1_000}, true)
	if c.Window() != testMSS || c.Ssthresh() != 5_000 {
		t.Errorf("window %d, threshold %d, want %d, 5000", c.Window(), c.Ssthresh(), testMSS)
	}
	c.OnRTO(&Loss{InFlight: 1_000}, false)
	if c.Ssthresh() != 2*testMSS {
		t.Errorf("threshold %d, want at least two segments", c.Ssthresh())
	}
}

func TestWindowKeepsInRecovery(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 10)
	c.OnSent(10_000, 0, 10_000)
	c.OnLoss(&Loss{InFlight: 10_000})
	c.OnAck(&Ack{Acked: 5_000, InRecovery: true})
	if got := c.Window(); got != 5_000 {
		t.Errorf("window %d grew in recovery", got)
	}
}

func TestUnusedWindowDoesNotGrow(t *testing.T) {
	for _, a := range []CongestionAlgorithm{NewReno, Cubic, DCTCP} {
		t.Run(a.String(), func(t *testing.T) { unusedWindowDoesNotGrow(t, a) })
	}
}

func unusedWindowDoesNotGrow(t *testing.T, a CongestionAlgorithm) {
	var c Congestion
	c.Init(a, testMSS, 10)
	una := Seq(1<<32 - 1500) // the round trips cross the wrap
	for range 1000 {
		c.OnSent(testMSS, una, una.Add(testMSS))
		una = una.Add(testMSS)
		c.OnAck(&Ack{Acked: testMSS, Una: una, Nxt: una})
	}
	if got := c.Window(); got != 10_000 {
		t.Errorf("window %d grew although one segment at a time was sent", got)
	}
	// A burst that fills the window counts for the whole round trip, also for those ACKs after which less is in flight.
	c.OnSent(10_000, una, una.Add(10_000))
	end := una.Add(10_000)
	for range 10 {
		una = una.Add(testMSS)
		c.OnAck(&Ack{Acked: testMSS, Una: una, Nxt: end})
	}
	if got := c.Window(); got != 20_000 {
		t.Errorf("window %d, want it doubled by a round trip that filled it", got)
	}
	// The next round trip that sends little ends that.
	c.OnSent(testMSS, una, una.Add(testMSS))
	c.OnAck(&Ack{Acked: testMSS})
	if got := c.Window(); got != 20_000 {
		t.Errorf("window %d, want it to stay", got)
	}
}

// TestUnusedWindowIsHalved has a window that the application does not use for five minutes be halved, but not below the initial one; slow
// start then leads back to three quarters of it.
func TestUnusedWindowIsHalved(t *testing.T) {
	for _, a := range []CongestionAlgorithm{NewReno, Cubic, DCTCP} {
		var c Congestion
		c.Init(a, testMSS, 10)
		fullAck(&c, 10_000)
		fullAck(&c, 20_000)
		c.OnLoss(&Loss{InFlight: 40_000})
		want := c.Window()
		now, una := clock.Time(time.Hour), Seq(1)
		c.OnSent(want, 0, 1)
		c.OnAck(&Ack{Now: now, InRecovery: true}) // the window was used until now
		little := func(d time.Duration) {
			for end := now.Add(d); now < end; now = now.Add(time.Second) {
				c.OnSent(testMSS, una, una.Add(testMSS))
				una = una.Add(testMSS)
				c.OnAck(&Ack{Now: now, Acked: testMSS, SRTT: 10 * ms, Una: una, Nxt: una})
			}
		}
		if little(299 * time.Second); c.Window() != want {
			t.Errorf("%v: window %d before five minutes have passed, want %d", a, c.Window(), want)
		}
		if little(5 * time.Second); c.Window() != want/2 || c.Ssthresh() != max(want, want-want/4) {
			t.Errorf("%v: window %d, threshold %d after them, want half of %d", a, c.Window(), c.Ssthresh(), want)
		}
		if little(20 * time.Minute); c.Window() < 10_000 || c.Window() > 20_000 {
			t.Errorf("%v: window %d in the end", a, c.Window())
		}
	}
}

func TestIdleAndSegmentSize(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 10)
	fullAck(&c, 10_000)
	c.OnIdle(1, false)
	if got := c.Window(); got != 20_000 {
		t.Errorf("after a short pause: window %d, want it to stay", got)
	}
	c.OnIdle(2, true)
	if got := c.Window(); got != 10_000 {
		t.Errorf("after idling: window %d, want the initial one", got)
	}
	c.OnRTO(&Loss{InFlight: 10_000}, false)
	c.SetMSS(1400)
	if got := c.Window(); got != 1400 {
		t.Errorf("window %d, want at least one segment of the new size", got)
	}
	c.OnIdle(3, true)
	if got := c.Window(); got != 1400 {
		t.Errorf("idling changed a window that is below the initial one to %d", got)
	}
}

func TestWindowHasABound(t *testing.T) {
	var c Congestion
	c.Init(NewReno, testMSS, 10)
	for range 100 {
		fullAck(&c, c.Window())
	}
	if got := c.Window(); got != maxCwnd {
		t.Errorf("window %d, want the bound %d", got, maxCwnd)
	}
	if c.PacingRate(0) != 0 {
		t.Error("there is a pacing rate without a round-trip time")
	}
}

func TestParseCongestion(t *testing.T) {
	for name, want := range map[string]CongestionAlgorithm{"": Cubic, "newreno": NewReno, "reno": NewReno, "cubic": Cubic, "bbr": BBR} {
		if a, err := ParseCongestion(name); err != nil || a != want {
			t.Errorf("%q: %v, %v", name, a, err)
		}
	}
	if _, err := ParseCongestion("vegas"); err == nil {
		t.Error("an unknown name is taken")
	}
	for a, want := range map[CongestionAlgorithm]string{NewReno: "newreno", Cubic: "cubic", BBR: "bbr", 99: "CongestionAlgorithm(99)"} {
		if a.String() != want {
			t.Errorf("%d is %q, want %q", uint8(a), a, want)
		}
	}
}

func TestCongestionDoesNotAllocate(t *testing.T) {
	for _, a := range []CongestionAlgorithm{NewReno, Cubic, BBR} {
		var c Congestion
		c.Init(a, testMSS, 10)
		var r RTT
		if n := testing.AllocsPerRun(100, func() {
			r.Sample(10*ms, 5, 1)
			c.OnIdle(1, true)
			c.OnSent(c.Window(), 0, 1)
			c.OnAck(&Ack{Now: 1, Acked: testMSS, RTT: 10 * ms, SRTT: 10 * ms})
			c.OnLoss(&Loss{InFlight: c.Window()})
			c.OnAck(&Ack{Now: 2, Acked: testMSS, RTT: 10 * ms, SRTT: 10 * ms})
			c.OnSpurious()
			c.OnDelivered(&Delivery{Now: 3, Bytes: 1000, Interval: 1000, Delivered: 1000, Arrived: 1000})
			c.OnRTO(&Loss{InFlight: c.Window()}, false)
		}); n != 0 {
			t.Errorf("%v: %v allocations", a, n)
		}
	}
}

// TestCongestionStatesHaveNoPointers is what lets the algorithms share their bytes, and BBR have its own in a Core: the garbage collector
// would not see a pointer there.
func TestCongestionStatesHaveNoPointers(t *testing.T) {
	var check func(reflect.Type)
	check = func(v reflect.Type) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				check(v.Field(i).Type)
			}
		case reflect.Array:
			check(v.Elem())
		case reflect.Bool, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Int32, reflect.Int64:
		default:
			t.Errorf("%v is not a plain value", v)
		}
	}
	check(reflect.TypeFor[cubic]())
	check(reflect.TypeFor[hyStart]())
	check(reflect.TypeFor[cubicLater]())
	check(reflect.TypeFor[dctcp]())
	check(reflect.TypeFor[bbr]())
	check(reflect.TypeFor[rare]())
	check(reflect.TypeFor[history]())
}

// TestMarkGrowsNoWindow has a mark leave a window of one segment as it is, with each algorithm: two segments are what a reduction ends at.
func TestMarkGrowsNoWindow(t *testing.T) {
	for _, a := range []CongestionAlgorithm{NewReno, Cubic, DCTCP} {
		c := &Congestion{}
		c.Init(a, 1000, 1)
		c.OnSent(1000, 1, 1001)
		c.OnECE(&Loss{InFlight: 1000, Una: 1001, Nxt: 1001})
		if c.Window() != 1000 {
			t.Errorf("%v: a window of %d bytes after a mark, was 1000", a, c.Window())
		}
	}
}

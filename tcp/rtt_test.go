package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const ms = time.Millisecond

// loRTO and hiRTO bound the timeout in tests that do not test the bounds.
const (
	loRTO = 1 * ms
	hiRTO = 1000 * time.Second
)

func TestRTTInitialTimeout(t *testing.T) {
	var r RTT
	if got := r.RTO(200*ms, hiRTO); got != time.Second {
		t.Errorf("the first timeout is %v, want 1s", got)
	}
	r.SYNLost()
	if got := r.RTO(200*ms, hiRTO); got != 3*time.Second {
		t.Errorf("after a lost SYN the timeout is %v, want 3s (RFC 6298 section 5.7)", got)
	}
	r.Sample(10*ms, 1, 0)
	if got := r.RTO(loRTO, hiRTO); got != 30*ms {
		t.Errorf("after a measurement of 10ms the timeout is %v, want SRTT + 4 RTTVAR = 30ms", got)
	}
}

func TestRTTSamples(t *testing.T) {
	var r RTT
	if r.Measured() {
		t.Error("measured before the first sample")
	}
	for i, c := range []struct{ sample, srtt, rttvar time.Duration }{
		{80 * ms, 80 * ms, 40 * ms},
		{80 * ms, 80 * ms, 30 * ms},
		{160 * ms, 90 * ms, 42500 * time.Microsecond},
		{90 * ms, 90 * ms, 31875 * time.Microsecond},
		{10 * ms, 80 * ms, 43906250},
	} {
		r.Sample(c.sample, 1, 0)
		if r.SRTT() != c.srtt || r.Var() != c.rttvar {
			t.Errorf("after sample %d: srtt %v, rttvar %v; want %v, %v", i, r.SRTT(), r.Var(), c.srtt, c.rttvar)
		}
	}
	if !r.Measured() || r.Min() != 10*ms {
		t.Errorf("the least sample is %v, want 10ms", r.Min())
	}
}

// TestRTTSampleWeight has many measurements in a round trip move the estimate about as far as one does.
func TestRTTSampleWeight(t *testing.T) {
	var one, many RTT
	one.Sample(100*ms, 1, 0)
	many.Sample(100*ms, 1, 0)
	for range 10 {
		one.Sample(200*ms, 1, 0)
		for range 50 {
			many.Sample(200*ms, 50, 0)
		}
	}
	if d := one.SRTT() - many.SRTT(); d < -5*ms || d > 5*ms {
		t.Errorf("srtt %v with one sample per round trip, %v with fifty", one.SRTT(), many.SRTT())
	}
}

func TestRTTBackoff(t *testing.T) {
	var r RTT
	r.Sample(100*ms, 1, 0) // timeout 300 ms
	for i, want := range []time.Duration{300 * ms, 600 * ms, 1200 * ms, 2400 * ms, 3000 * ms, 3000 * ms} {
		if got := r.RTO(loRTO, 3*time.Second); got != want {
			t.Errorf("after %d expiries the timeout is %v, want %v", i, got, want)
		}
		r.Backoff()
	}
	for range 1000 {
		r.Backoff()
	}
	if got := r.RTO(loRTO, 120*time.Second); got != 120*time.Second {
		t.Errorf("after a thousand expiries the timeout is %v, want its bound", got)
	}
	r.ResetBackoff()
	if got := r.RTO(loRTO, hiRTO); got != 300*ms || r.Backoffs() != 0 {
		t.Errorf("after new data was acknowledged the timeout is %v, want 300ms", got)
	}
}

func TestRTTBounds(t *testing.T) {
	var r RTT
	for range 100 {
		r.Sample(50*time.Microsecond, 1, 0)
	}
	if got := r.RTO(0, hiRTO); got < ms || got > 2*ms {
		t.Errorf("the variation counts as at least the clock's granularity: got %v", got)
	}
	if got := r.RTO(200*ms, hiRTO); got != 200*ms {
		t.Errorf("the lower bound does not hold: %v", got)
	}
	var slow RTT
	slow.Sample(100*time.Hour, 1, 0)
	for range 100 {
		slow.Backoff()
	}
	if got := slow.RTO(200*ms, hiRTO); got != hiRTO {
		t.Errorf("the upper bound does not hold for a path of 100 hours, backed off: %v", got)
	}
	var zero RTT
	zero.Sample(0, 0, 0)
	if !zero.Measured() || zero.SRTT() <= 0 {
		t.Error("a sample of 0, within one tick, must count")
	}
}

// TestRTTMinimumIsForgotten has the least sample be that of the last minute or two: a path whose round trip grows for good is known as
// what it is then, and one that is idle for long is not forgotten by that alone.
func TestRTTMinimumIsForgotten(t *testing.T) {
	var r RTT
	now := clock.Time(time.Hour)
	r.Sample(10*ms, 1, now)
	for range 70 {
		if r.Min() != 10*ms {
			t.Fatalf("the least sample is %v after %v, want 10ms", r.Min(), now.Sub(clock.Time(time.Hour)))
		}
		now = now.Add(time.Second)
		r.Sample(50*ms, 1, now)
	}
	for range 60 {
		now = now.Add(time.Second)
		r.Sample(50*ms, 1, now)
	}
	if r.Min() != 50*ms {
		t.Errorf("the least sample is %v after two minutes, want 50ms", r.Min())
	}
	now = now.Add(time.Hour)
	r.Sample(60*ms, 1, now)
	if r.Min() != 50*ms {
		t.Errorf("the least sample is %v after a pause, want 50ms", r.Min())
	}
	r.Sample(20*ms, 1, now)
	if r.Min() != 20*ms {
		t.Errorf("the least sample is %v, want 20ms", r.Min())
	}
}

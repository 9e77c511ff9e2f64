package tcp

import (
	"math"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// cubicPath is a path on which the window is all that limits: the segments of a window are acknowledged two by two, evenly over each
// round trip.
type cubicPath struct {
	Congestion
	now clock.Time
	rtt time.Duration
	una Seq
}

// lossAt returns a path on which a loss has just happened at a window of so many segments.
func lossAt(segments uint32, rtt time.Duration) *cubicPath {
	p := &cubicPath{now: clock.Time(time.Second), rtt: rtt}
	p.Init(Cubic, testMSS, segments)
	p.lose()
	return p
}

func (p *cubicPath) loss() *Loss {
	return &Loss{Now: p.now, InFlight: p.Window(), Una: p.una, Nxt: p.una.Add(p.Window())}
}

func (p *cubicPath) lose() { p.OnLoss(p.loss()) }

// segments returns the window in segments.
func (p *cubicPath) segments() float64 { return float64(p.Window()) / testMSS }

// ack acknowledges n bytes of a full window.
func (p *cubicPath) ack(n uint32) {
	p.OnSent(p.Window(), p.una, p.una.Add(p.Window()))
	nxt := p.una.Add(p.Window())
	p.una = p.una.Add(n)
	p.OnAck(&Ack{Now: p.now, RTT: p.rtt, SRTT: p.rtt, Acked: n, InFlight: uint32(nxt - p.una), Una: p.una, Nxt: nxt})
}

// run lets time pass.
func (p *cubicPath) run(d time.Duration) {
	for end := p.now.Add(d); p.now < end; {
		p.ack(2 * testMSS)
		p.now = p.now.Add(max(time.Duration(float64(p.rtt)*2/p.segments()), 1))
	}
}

// wCubic is figure 1 of RFC 9438, in segments and seconds.
func wCubic(t, wMax, epoch float64) float64 {
	return 0.4*math.Pow(t-math.Cbrt((wMax-epoch)/0.4), 3) + wMax
}

func wantSegments(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if math.Abs(got-want) > share*want {
		t.Errorf("%s: window of %.1f segments, want %.1f", what, got, want)
	}
}

// TestCubicFunction has the window follow the RFC's function, whatever the round-trip time, below and above the window of the loss.
func TestCubicFunction(t *testing.T) {
	for _, rtt := range []time.Duration{50 * ms, 100 * ms, 300 * ms} {
		p := lossAt(1000, rtt)
		wantSegments(t, "after the loss", p.segments(), 700, 0)
		start := p.now
		for _, at := range []time.Duration{1, 2, 4, 7, 9, 11, 13, 16, 20} {
			at *= time.Second
			p.run(at - p.now.Sub(start))
			wantSegments(t, (rtt + at).String(), p.segments(), wCubic(at.Seconds(), 1000, 700), 0.01)
		}
	}
}

// TestCubicLargeWindow has the window of a long fat path, 10 Gbit/s and 100 ms, come back within 40 s to where a loss was.
func TestCubicLargeWindow(t *testing.T) {
	p := lossAt(83_000, 100*ms)
	p.run(40 * time.Second)
	wantSegments(t, "at K", p.segments(), 83_000, 0.005)
	p.run(20 * time.Second)
	wantSegments(t, "20 s later", p.segments(), wCubic(60, 83_000, 0.7*83_000), 0.005)
}

// TestCubicGrowthIsBounded has the window grow by half in a round trip at most, wherever the function is, up to the largest window.
func TestCubicGrowthIsBounded(t *testing.T) {
	p := lossAt(10, 100*ms)
	p.run(time.Second)
	for p.Window() < maxCwnd*2/3 { // from there the largest window is the nearer bound
		before := p.Window()
		p.now = p.now.Add(10 * time.Minute) // the function is far ahead
		for acked := uint32(0); acked < before; acked += before / 16 {
			p.ack(before / 16)
		}
		if now := p.Window(); now > before+before/2+before/16 || now < before+before*3/8 {
			t.Fatalf("from %d to %d bytes in a round trip", before, now)
		}
	}
}

// TestCubicRenoFriendly has a small window on a short path grow as Reno's would: 9/17 of a segment in each round trip up to the
// window of the loss, one segment from there.
func TestCubicRenoFriendly(t *testing.T) {
	p := lossAt(20, 10*ms)
	want := 14.0
	for round := range 25 {
		for acked := 0.0; acked < want; acked += 2 {
			p.ack(2 * testMSS)
		}
		p.now = p.now.Add(p.rtt)
		if want < 20 {
			want += 9.0 / 17
		} else {
			want++
		}
		if got := p.segments(); math.Abs(got-want) > 1.6 {
			t.Errorf("after round trip %d: %.2f segments, want about %.2f", round+1, got, want)
		}
	}
	if reno := wCubic(0.25, 20, 14); p.segments() < reno+5 {
		t.Errorf("%.1f segments are not clearly above the cubic function's %.1f: this test shows nothing", p.segments(), reno)
	}
}

// TestCubicFastConvergence has a second loss at a lower window make room: the function becomes flat at 0.85 of that.
func TestCubicFastConvergence(t *testing.T) {
	for _, c := range []struct {
		what       string
		run        time.Duration // after the loss at 1000 segments
		flat, then float64       // W_max and window after the next loss
	}{
		{"at a lower window", 4 * time.Second, 0.85 * wCubic(4, 1000, 700), 0.7 * wCubic(4, 1000, 700)},
		{"at a higher window", 14 * time.Second, wCubic(14, 1000, 700), 0.7 * wCubic(14, 1000, 700)},
	} {
		p := lossAt(1000, 100*ms)
		p.run(c.run)
		p.lose()
		wantSegments(t, "loss "+c.what, p.segments(), c.then, 0.01)
		k := time.Duration(math.Cbrt((c.flat-c.then)/0.4) * float64(time.Second))
		p.run(k - time.Second/2)
		wantSegments(t, "before the function is flat after a loss "+c.what, p.segments(), c.flat, 0.01)
		p.run(time.Second)
		wantSegments(t, "where it is flat after a loss "+c.what, p.segments(), c.flat, 0.01)
	}
}

// TestCubicTimeout has slow start after a timeout end at 0.7 of what was in flight, and the function begin there at its flat part.
func TestCubicTimeout(t *testing.T) {
	p := lossAt(1000, 100*ms)
	p.run(20 * time.Second)
	at := p.segments()
	p.OnRTO(p.loss(), false)
	p.OnRTO(p.loss(), true)
	if p.Window() != testMSS || math.Abs(float64(p.Ssthresh())-700*at) > 1 {
		t.Fatalf("after a timeout at %.1f segments: window %d, threshold %d", at, p.Window(), p.Ssthresh())
	}
	for p.Window() < p.Ssthresh() {
		p.ack(min(2*testMSS, p.Ssthresh()-p.Window()))
	}
	start := p.now
	for _, s := range []float64{0, 2, 5, 8} {
		p.run(time.Duration(s*float64(time.Second)) - p.now.Sub(start))
		wantSegments(t, "after slow start", p.segments(), 0.7*at+0.4*s*s*s, 0.01)
	}
}

// TestCubicTimeDoesNotCount has time in which the window was not used, or nothing was in flight, not move the window on its curve.
func TestCubicTimeDoesNotCount(t *testing.T) {
	for _, c := range []struct {
		what  string
		pause func(p *cubicPath)
	}{
		{"application-limited", func(p *cubicPath) {
			for range 600 {
				p.OnSent(testMSS, p.una, p.una.Add(testMSS))
				p.una = p.una.Add(testMSS)
				p.OnAck(&Ack{Now: p.now, RTT: p.rtt, SRTT: p.rtt, Acked: testMSS, Una: p.una, Nxt: p.una})
				p.now = p.now.Add(p.rtt)
			}
		}},
		{"nothing in flight", func(p *cubicPath) {
			for range 600 {
				p.now = p.now.Add(p.rtt)
				p.OnIdle(p.now, false)
			}
		}},
	} {
		p := lossAt(1000, 100*ms)
		p.run(3 * time.Second)
		before := p.segments()
		p.una = p.una.Add(p.Window())
		c.pause(p)
		wantSegments(t, c.what, p.segments(), before, 0)
		p.run(10 * time.Millisecond)
		wantSegments(t, c.what+", shortly after", p.segments(), before, 0.01)
		p.run(3 * time.Second)
		wantSegments(t, c.what+", 3 s after", p.segments(), wCubic(6, 1000, 700), 0.01)
	}
}

// TestCubicLongIdle has slow start lead back to three quarters of the window after a long pause, and the curve go on from there.
func TestCubicLongIdle(t *testing.T) {
	p := lossAt(100, 100*ms)
	p.run(8 * time.Second)
	before := p.segments()
	p.initial = 10 * testMSS // not the 100 that brought it to the loss
	p.now = p.now.Add(time.Minute)
	p.OnIdle(p.now, true)
	wantSegments(t, "after the pause", p.segments(), 10, 0)
	wantSegments(t, "threshold", float64(p.Ssthresh())/testMSS, 0.75*before, 0.01)
	for p.Window() < p.Ssthresh() {
		p.ack(min(2*testMSS, p.Ssthresh()-p.Window()))
	}
	p.run(2 * time.Second)
	if got := p.segments(); got > before || got < 0.75*before+0.4*8 {
		t.Errorf("2 s after slow start: %.1f segments, %.1f before the pause", got, before)
	}
}

// TestCubicSpurious has a reduction that was wrong leave no trace: the window is on the curve where it would have been.
func TestCubicSpurious(t *testing.T) {
	for _, c := range []struct {
		what   string
		after  time.Duration // since the loss at 1000 segments
		reduce func(p *cubicPath)
	}{
		{"loss, concave", 4 * time.Second, (*cubicPath).lose},
		{"loss, convex", 14 * time.Second, (*cubicPath).lose},
		{"timeout, concave", 4 * time.Second, func(p *cubicPath) { p.OnRTO(p.loss(), false) }},
		{"timeout that repeats", 14 * time.Second, func(p *cubicPath) {
			p.OnRTO(p.loss(), false)
			p.OnRTO(p.loss(), true)
		}},
	} {
		p := lossAt(1000, 100*ms)
		p.run(c.after)
		before, threshold := p.Window(), p.Ssthresh()
		c.reduce(p)
		p.OnSpurious()
		if p.Window() != before || p.Ssthresh() != threshold {
			t.Errorf("%s: window %d, threshold %d, were %d, %d", c.what, p.Window(), p.Ssthresh(), before, threshold)
		}
		p.run(4 * time.Second)
		wantSegments(t, c.what, p.segments(), wCubic(c.after.Seconds()+4, 1000, 700), 0.01)
	}
}

// TestSpuriousInSlowStart has a connection that has seen no real loss be in its first slow start again.
func TestSpuriousInSlowStart(t *testing.T) {
	for _, a := range []CongestionAlgorithm{NewReno, Cubic} {
		p := &cubicPath{rtt: 10 * ms}
		p.Init(a, testMSS, 10)
		p.lose()
		p.OnSpurious()
		if p.Window() != 10*testMSS || p.Ssthresh() != infSsthresh {
			t.Errorf("%v: window %d, threshold %d", a, p.Window(), p.Ssthresh())
		}
		p.ack(10 * testMSS)
		if p.Window() != 20*testMSS {
			t.Errorf("%v: window %d, want slow start to go on", a, p.Window())
		}
	}
}

// TestCubicClockWraps has the microseconds wrap in the middle of a curve, and a curve last longer than they count.
func TestCubicClockWraps(t *testing.T) {
	p := lossAt(1000, 100*ms)
	p.now = clock.Time((1<<32)*time.Microsecond - 3*time.Second)
	p.run(7 * time.Second)
	wantSegments(t, "after the wrap", p.segments(), wCubic(7, 1000, 700), 0.01)
	// Hours of a window that the peer or the application holds down, at the flat part, then in the convex one.
	p.una = p.una.Add(p.Window())
	for range 3 * 3600 {
		p.now = p.now.Add(time.Second)
		p.OnSent(testMSS, p.una, p.una.Add(testMSS))
		p.OnAck(&Ack{Now: p.now, RTT: p.rtt, SRTT: p.rtt, Acked: testMSS, Una: p.una, Nxt: p.una})
	}
	wantSegments(t, "hours later", p.segments(), wCubic(7, 1000, 700), 0.01)
	p.run(5 * time.Second)
	wantSegments(t, "used again", p.segments(), wCubic(12, 1000, 700), 0.01)
	p.cwnd = maxCwnd
	for range 3 * 3600 {
		p.now = p.now.Add(time.Second)
		if p.ack(testMSS); p.Window() != maxCwnd {
			t.Fatalf("the largest window became %d", p.Window())
		}
	}
}

// TestCubicLossBounds has a loss of little leave two segments, and what is outstanding beyond the window not count.
func TestCubicLossBounds(t *testing.T) {
	for _, c := range []struct{ inFlight, want uint32 }{
		{100_000, 70_000}, {140_000, 70_000}, {50_000, 35_000}, {1000, 2 * testMSS}, {0, 2 * testMSS},
	} {
		var cc Congestion
		cc.Init(Cubic, testMSS, 100)
		cc.OnLoss(&Loss{InFlight: c.inFlight})
		if cc.Window() != c.want || cc.Ssthresh() != c.want {
			t.Errorf("%d bytes in flight: window %d, threshold %d, want %d", c.inFlight, cc.Window(), cc.Ssthresh(), c.want)
		}
		cc.OnAck(&Ack{Now: 1, Acked: c.inFlight, InRecovery: true})
		if cc.Window() != c.want {
			t.Errorf("%d bytes in flight: the window grew to %d in recovery", c.inFlight, cc.Window())
		}
	}
}

func TestCubeRoot(t *testing.T) {
	check := func(x uint64) {
		r := uint64(cubeRoot(x))
		if r*r*r > x || r < 2642245 && (r+1)*(r+1)*(r+1) <= x {
			t.Fatalf("cube root of %d: %d", x, r)
		}
	}
	for x := range uint64(10_000) {
		check(x)
	}
	for r := uint64(1); r <= 2642245; r += 97 {
		check(r*r*r - 1)
		check(r * r * r)
		check(r*r*r + 1)
	}
	check(2642245 * 2642245 * 2642245)
	check(math.MaxUint64)
}

// TestCubicConnection has a connection that is not told otherwise use CUBIC: a loss costs three tenths of the window, and time brings it back.
func TestCubicConnection(t *testing.T) {
	s := established(t, sends)
	s.write(250_000)
	s.wantData(1, 10_001, 1000, 1)
	s.advance(10 * ms)
	s.inject(seg{flags: fA, seq: 1, ack: 1, sack: []SACKBlock{{1001, 5001}}})
	if i := s.c.Info(); i.Recovery != "recovery" || i.CWnd != 7000 || i.SSThresh != 7000 {
		t.Errorf("after a loss: %+v", i)
	}
	s.drain(10)
	s.inject(seg{flags: fA, seq: 1, ack: uint32(s.c.snd.nxt - s.iss)})
	at := s.now
	for s.now.Sub(at) < 2*time.Second { // K is 1.96 s
		s.drain(40)
		s.advance(100 * ms)
		s.inject(seg{flags: fA, seq: 1, ack: uint32(s.c.snd.nxt - s.iss)})
	}
	// Reno's estimate of it has then grown by 9/17 of a segment 6 times, and 14 times by one; the cubic function is at 10.
	if i := s.c.Info(); i.Recovery != "open" || i.CWnd < 17_000 || i.CWnd > 25_000 {
		t.Errorf("2 s later: %+v", i)
	}
}

func BenchmarkCongestionAck(b *testing.B) {
	for _, a := range []CongestionAlgorithm{NewReno, Cubic} {
		b.Run(a.String(), func(b *testing.B) {
			p := &cubicPath{now: clock.Time(time.Second), rtt: 10 * ms}
			p.Init(a, testMSS, 100)
			p.lose()
			for b.Loop() {
				p.ack(2 * testMSS)
				p.now += 1000
				if p.Window() > 1000*testMSS {
					p.lose()
				}
			}
		})
	}
}

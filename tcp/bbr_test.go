package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// bbrPath plays a path of 10 ms for a connection that uses BBR: one ACK in each round trip stands for all that arrived in it.
type bbrPath struct {
	t         *testing.T
	c         Congestion
	now       clock.Time
	rtt       time.Duration
	delivered uint32
}

func newBBRPath(t *testing.T, seed uint32) *bbrPath {
	p := &bbrPath{t: t, now: clock.Time(time.Hour), rtt: 10 * ms}
	p.c.Init(BBR, testMSS, 10)
	p.c.Seed(seed)
	return p
}

// round lets a round trip pass in which so many bytes arrive.
func (p *bbrPath) round(bytes uint32, change ...func(*Delivery)) bool {
	p.now = p.now.Add(p.rtt)
	d := Delivery{
		Now: p.now, RTT: p.rtt, SRTT: p.rtt, Bytes: bytes, Interval: uint32(p.rtt >> rateShift), Prior: p.delivered,
		Arrived: bytes, Before: p.c.Window(), InFlight: p.c.Window(),
	}
	p.delivered += bytes
	d.Delivered = p.delivered
	for _, f := range change {
		f(&d)
	}
	return p.c.OnDelivered(&d)
}

// wantRate expects a pacing rate, to two percent: the margin of one is in it.
func (p *bbrPath) wantRate(want float64) {
	p.t.Helper()
	if got := float64(p.c.PacingRate(p.rtt)); got < 0.97*want || got > 1.01*want {
		p.t.Errorf("paced at %.0f bytes/s, want %.0f", got, want)
	}
}

func (p *bbrPath) wantMode(want bbrMode) {
	p.t.Helper()
	if got := p.c.bbr().mode; got != want {
		p.t.Fatalf("mode %d, want %d", got, want)
	}
}

// probing brings the path to PROBE_BW at 100,000 bytes in each round trip: 10 MB/s.
func probing(t *testing.T, seed uint32) *bbrPath {
	p := newBBRPath(t, seed)
	for range 5 {
		p.round(100_000)
	}
	p.round(100_000, func(d *Delivery) { d.InFlight = 50_000 })
	p.wantMode(bbrProbeBW)
	return p
}

func TestBBRBeforeTheFirstSample(t *testing.T) {
	p := newBBRPath(t, 1)
	p.wantRate(10_000 * 100 * 2.885)
	if got := p.c.PacingRate(0); got < 28e6 || got > 29e6 {
		t.Errorf("%d bytes/s without a round-trip time, want the window in a millisecond, times the gain", got)
	}
	if !BBR.forcesPacing() || Cubic.forcesPacing() {
		t.Error("BBR, and only that, cannot do without pacing")
	}
}

// TestBBRStartup has the window grow by what arrives and the rate by the gain, until the bandwidth does not grow any more; then the queue is
// drained.
func TestBBRStartup(t *testing.T) {
	p := newBBRPath(t, 1)
	for bytes := uint32(10_000); bytes <= 80_000; bytes *= 2 {
		before := p.c.Window()
		p.round(bytes)
		p.wantMode(bbrStartup)
		p.wantRate(float64(bytes) * 100 * 2.885)
		if got := p.c.Window(); got != before+bytes {
			t.Errorf("window %d, want %d", got, before+bytes)
		}
	}
	for range 2 {
		p.round(90_000) // less than a quarter more
		p.wantMode(bbrStartup)
	}
	p.round(90_000)
	p.wantMode(bbrDrain)
	p.wantRate(9e6 / 2.885)
	p.round(90_000, func(d *Delivery) { d.InFlight = 101_000 }) // the product and three bursts
	p.wantMode(bbrDrain)
	p.round(90_000, func(d *Delivery) { d.InFlight = 95_000 })
	p.wantMode(bbrProbeBW)
}

// TestBBRStartupIgnoresTheApplicationsLimit has rounds in which the application had little to send not count as a full pipe.
func TestBBRStartupIgnoresTheApplicationsLimit(t *testing.T) {
	p := newBBRPath(t, 1)
	p.round(10_000)
	for range 20 {
		p.round(2000, func(d *Delivery) { d.Limited = true })
	}
	p.wantMode(bbrStartup)
	p.wantRate(10_000 * 100 * 2.885)
}

// TestBBRCycle has PROBE_BW ask for a quarter more in one phase, give it back in the next, and keep the bandwidth in six. The window is
// twice the product.
func TestBBRCycle(t *testing.T) {
	p := probing(t, 1)
	b := p.c.bbr()
	for b.phase != 0 {
		p.round(100_000)
	}
	p.now = p.now.Add(ms) // a phase is longer than a round trip
	for phase, gain := range []float64{1.25, 0.75, 1, 1, 1, 1, 1, 1} {
		if int(b.phase) != phase {
			t.Fatalf("phase %d, want %d", b.phase, phase)
		}
		p.wantRate(1e7 * gain)
		p.now = p.now.Add(ms)
		p.round(100_000, func(d *Delivery) { d.Before = 170_000 })
	}
	p.round(100_000)
	if got := p.c.Window(); got < 320_000 || got > 345_000 {
		t.Errorf("window %d, want twice the product, the lump of an ACK for each round trip, and three bursts", got)
	}
}

// TestBBRAsksUntilMoreIsInFlight has the phase that asks for more last until a quarter more is in flight, or something is lost.
func TestBBRAsksUntilMoreIsInFlight(t *testing.T) {
	for _, change := range []func(*Delivery){func(d *Delivery) { d.Before = 200_000 }, func(d *Delivery) { d.Lost = 1000 }} {
		p := probing(t, 1)
		b := p.c.bbr()
		for b.phase != 0 {
			p.round(100_000)
		}
		little := func(d *Delivery) { d.Before = 100_000 }
		for range 3 {
			p.now = p.now.Add(ms)
			if p.round(100_000, little); b.phase != 0 {
				t.Fatalf("phase %d", b.phase)
			}
		}
		if p.round(100_000, little, change); b.phase != 1 {
			t.Errorf("phase %d, want the next", b.phase)
		}
	}
}

// TestBBRBeginsTheCycleAtRandom has connections with different seeds begin in different phases, but never in the one that gives back.
func TestBBRBeginsTheCycleAtRandom(t *testing.T) {
	seen := map[uint8]int{}
	for seed := range uint32(200) {
		seen[probing(t, seed*2654435761).c.bbr().phase]++
	}
	if len(seen) != bbrPhases-1 || seen[1] != 0 {
		t.Errorf("phases %v", seen)
	}
	for phase, n := range seen {
		if n < 10 {
			t.Errorf("phase %d: %d of 200", phase, n)
		}
	}
}

// TestBBRForgetsBandwidth has a bandwidth that does not come back be forgotten after ten rounds.
func TestBBRForgetsBandwidth(t *testing.T) {
	p := probing(t, 1)
	for i := range 10 {
		p.round(50_000)
		if got := p.c.bbr().bw[0]; got < 1e7/bbrUnit*98/100 {
			t.Fatalf("forgotten after %d rounds", i+1)
		}
	}
	p.round(50_000)
	p.round(50_000)
	if got := p.c.bbr().bw[0]; got > 51e5/bbrUnit {
		t.Errorf("bandwidth %d bytes/s, want 5 MB/s", got*bbrUnit)
	}
}

// TestBBRProbeRTT has the connection send almost nothing for 200 ms when no lower round-trip time was seen for ten seconds, and then
// go on as before.
func TestBBRProbeRTT(t *testing.T) {
	p := probing(t, 1)
	p.rtt = 12 * ms
	for range 820 {
		p.round(120_000)
	}
	p.wantMode(bbrProbeBW)
	before := p.c.Window()
	for range 20 {
		if p.round(120_000) {
			break
		}
	}
	p.wantMode(bbrProbeRTT)
	if got := p.c.Window(); got != 4*testMSS {
		t.Fatalf("window %d, want four segments", got)
	}
	if got := p.c.bbr().minRTT; fromTicks(got) < 11*ms {
		t.Errorf("the old round-trip time %v still holds", fromTicks(got))
	}
	start := p.now
	for p.c.bbr().mode == bbrProbeRTT {
		// What the connection makes of the answer: the samples count as limited.
		if limited := p.round(4000, func(d *Delivery) { d.Limited = true }); !limited {
			t.Error("what is sent on purpose is taken for the path's limit")
		}
	}
	if took := p.now.Sub(start); took < 200*ms || took > 250*ms {
		t.Errorf("it took %v", took)
	}
	if got := p.c.Window(); got < 230_000 { // the measure of the lumps is too old by now
		t.Errorf("window %d, want that of before without the lumps: it was %d", got, before)
	}
}

// TestBBRProbeRTTNotAfterIdle has the pause itself be the probe: what was idle has just had an empty path.
func TestBBRProbeRTTNotAfterIdle(t *testing.T) {
	p := probing(t, 1)
	p.now = p.now.Add(11 * time.Second)
	p.c.OnIdle(p.now, true)
	p.wantRate(1e7)
	window := p.c.Window()
	p.round(100_000)
	p.wantMode(bbrProbeBW)
	if p.c.Window() < window {
		t.Errorf("window %d after a pause, want %d", p.c.Window(), window)
	}
}

// TestBBRRecovery has a recovery send for a round as much as arrives, and give the window back at its end.
func TestBBRRecovery(t *testing.T) {
	p := probing(t, 1)
	for range 3 {
		p.round(100_000)
	}
	before := p.c.Window()
	p.c.OnLoss(&Loss{Now: p.now, InFlight: before})
	ack := func(prior uint32, arrived, lost, flight uint32) {
		p.round(arrived, func(d *Delivery) { d.Prior, d.Lost, d.InFlight, d.InRecovery = prior, lost, flight, true })
	}
	sent := p.delivered // when what arrives now was sent
	ack(sent-100_000, 1000, 5000, 90_000)
	if got := p.c.Window(); got != 91_000 {
		t.Errorf("window %d, want what is in flight and what arrived", got)
	}
	ack(sent-90_000, 2000, 0, 89_000)
	if got := p.c.Window(); got != 91_000 {
		t.Errorf("window %d, want what is in flight and what arrived", got)
	}
	ack(p.delivered, 2000, 0, 89_000) // the second round of the recovery
	if got := p.c.Window(); got != 93_000 {
		t.Errorf("window %d, want it to grow by what arrives", got)
	}
	p.round(1000)
	if got := p.c.Window(); got < before*9/10 {
		t.Errorf("window %d after the recovery, want %d", got, before)
	}
}

// TestBBRRecoveryOfLittle has a window stay a segment at least when little is in flight and a part of a segment arrives.
func TestBBRRecoveryOfLittle(t *testing.T) {
	p := probing(t, 1)
	p.c.OnLoss(&Loss{Now: p.now, InFlight: 2000})
	p.round(300, func(d *Delivery) { d.Lost, d.InFlight, d.InRecovery, d.Interval = 1000, 0, true, 0 })
	if got := p.c.Window(); got != testMSS {
		t.Errorf("window %d, want a segment", got)
	}
}

// TestBBRTimeout has a timeout begin again with one segment, and its end give the window back; the bandwidth is not forgotten.
func TestBBRTimeout(t *testing.T) {
	p := probing(t, 1)
	for range 3 {
		p.round(100_000)
	}
	before := p.c.Window()
	p.c.OnRTO(&Loss{Now: p.now, InFlight: before}, false)
	p.c.OnRTO(&Loss{Now: p.now, InFlight: before}, true)
	if p.c.Window() != testMSS {
		t.Fatalf("window %d", p.c.Window())
	}
	p.round(1000, func(d *Delivery) { d.InRecovery, d.InFlight = true, 0 })
	if got := p.c.Window(); got != 4*testMSS {
		t.Errorf("window %d, want four segments at least", got)
	}
	p.round(4000, func(d *Delivery) { d.InRecovery = true })
	if got := p.c.Window(); got != 8*testMSS {
		t.Errorf("window %d, want it to grow by what arrived", got)
	}
	p.round(8000)
	if got := p.c.Window(); got < before*9/10 {
		t.Errorf("window %d after it, want %d", got, before)
	}
	if got := p.c.bbr().bw[0]; got < 1e7/bbrUnit*98/100 {
		t.Errorf("bandwidth %d", got)
	}
}

// TestBBRAggregation has ACKs that come in lumps widen the window by the size of a lump.
func TestBBRAggregation(t *testing.T) {
	window := func(lump uint32) uint32 {
		p := probing(t, 1)
		for range 3 {
			for range 9 {
				p.round(100_000-lump/9, func(d *Delivery) { d.Bytes = 100_000 })
			}
			p.round(100_000+lump, func(d *Delivery) { d.Bytes = 100_000 })
		}
		for range 5 {
			p.round(100_000)
		}
		return p.c.Window()
	}
	even, lumps := window(0), window(60_000)
	if lumps < even+40_000 {
		t.Errorf("window %d, and %d without lumps", lumps, even)
	}
}

// TestBBRTakesOver has a connection that changes to BBR keep its window, and one that changes from it too.
func TestBBRTakesOver(t *testing.T) {
	var c Congestion
	c.Init(Cubic, testMSS, 10)
	fullAck(&c, 10_000)
	window := c.Window()
	c.Switch(BBR)
	if c.Window() != window || c.PacingRate(10*ms) < uint64(window)*100*28/10 {
		t.Errorf("window %d, rate %d", c.Window(), c.PacingRate(10*ms))
	}
	p := probing(t, 1)
	window = p.c.Window()
	p.c.Switch(Cubic)
	if p.c.Window() != window {
		t.Errorf("window %d, want %d", p.c.Window(), window)
	}
}

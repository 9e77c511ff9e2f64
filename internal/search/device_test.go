package search

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// device is a simulated device under test: what it loses of a load that it is offered for a time.
type device func(Trial) float64

// sharp forwards so many packets a second and no more.
func sharp(capacity float64) device {
	return func(t Trial) float64 { return max(0, 1-capacity/t.Load) }
}

// soft begins to lose at capacity, and loses a share that grows by slope for each doubling of the load.
func soft(capacity, slope float64) device {
	return func(t Trial) float64 { return min(1, max(0, slope*math.Log2(t.Load/capacity))) }
}

// buffered is sharp, but has room for so many packets, which hides overload for a while.
func buffered(capacity, room float64) device {
	return func(t Trial) float64 {
		offered := t.Load * t.Duration.Seconds()
		return max(0, (offered-capacity*t.Duration.Seconds()-room)/offered)
	}
}

// noisy is sharp with a capacity that differs from trial to trial by up to a share.
func noisy(capacity, share float64, rnd *rand.Rand) device {
	return func(t Trial) float64 { return sharp(capacity * (1 + share*(2*rnd.Float64()-1)))(t) }
}

// spiky makes a share of the trials lose a packet in ten, whatever the load.
func spiky(d device, share float64, rnd *rand.Rand) device {
	return func(t Trial) float64 {
		if rnd.Float64() < share {
			return max(d(t), 0.1)
		}
		return d(t)
	}
}

// measure counts packets, as a real trial does: no loss of less than one.
func (d device) measure(t Trial) (Outcome, error) {
	sent := math.Round(t.Load * t.Duration.Seconds())
	if sent == 0 {
		return Outcome{}, errors.New("a trial without a packet")
	}
	return Outcome{Loss: math.Floor(d(t)*sent+1e-6) / sent, Took: t.Duration + 50*time.Millisecond}, nil
}

// between checks that the truth lies between the bounds, give or take a share, and that they are as close as they should be.
func between(t *testing.T, what string, f Found, truth, width, tolerance float64) {
	t.Helper()
	if f.End != Narrow {
		t.Errorf("%s: %v; bounds %v and %v", what, f.End, f.Lower, f.Upper)
		return
	}
	if f.Width() > width*1.000001 {
		t.Errorf("%s: bounds %v and %v are %v apart, want %v", what, f.Lower, f.Upper, f.Width(), width)
	}
	if f.Lower > truth*(1+tolerance) || f.Upper < truth*(1-tolerance) {
		t.Errorf("%s: found %v to %v, the truth is %v", what, f.Lower, f.Upper, truth)
	}
}

// seeds are those of the property tests.
func seeds(t *testing.T, f func(t *testing.T, rnd *rand.Rand)) {
	n := uint64(300)
	if testing.Short() {
		n = 60
	}
	for seed := range n {
		if t.Failed() {
			return
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { f(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

// anywhere returns a capacity in the range, all magnitudes alike.
func anywhere(r Range, rnd *rand.Rand) float64 {
	return r.Min * math.Pow(r.Max/r.Min, rnd.Float64())
}

var gigabit = Range{Min: 1000, Max: 1_488_095}

package load

import (
	"math"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// arrivalTimes returns all arrivals of n shards, in order of shards.
func arrivalTimes(phases []Phase, kind Arrivals, n int, seed uint64) (all []clock.Time) {
	for i := range n {
		for s := newSchedule(phases, kind, i, n, seed, 0); s.next != clock.Never; s.advance() {
			all = append(all, s.next)
		}
	}
	return all
}

func TestConstantArrivals(t *testing.T) {
	for _, shards := range []int{1, 3} {
		for i := range shards {
			n := 0
			for s := newSchedule([]Phase{{1000, 1000, time.Second}}, Constant, i, shards, 1, 500); s.next != clock.Never; s.advance() {
				want := 500 + clock.Time(i+n*shards)*clock.Time(time.Millisecond)
				if d := s.next - want; d < -1 || d > 1 {
					t.Fatalf("shard %d of %d: arrival %d is at %d, want %d", i, shards, n, s.next, want)
				}
				n++
			}
			if want := (1000 - i + shards - 1) / shards; n != want {
				t.Errorf("shard %d of %d: %d arrivals, want %d", i, shards, n, want)
			}
		}
	}
}

func TestPhases(t *testing.T) {
	phases := []Phase{
		{0, 1000, 2 * time.Second},    // a ramp: 1000
		{1000, 1000, time.Second},     // 1000
		{0, 0, time.Second},           // a pause
		{2000, 500, 4 * time.Second},  // down: 5000
		{500, 500, time.Second / 2},   // 250
		{100, 0, 10 * time.Second},    // to nothing: 500
		{0, 0, 100 * time.Hour},       //
		{1, 1, 3 * time.Second},       // 3
		{1e6, 1e6, time.Millisecond},  // 1000
		{0.5, 0.5, 10 * time.Second},  // 5
		{0, 100, time.Second / 1_000}, // less than one
	}
	want := []int{1000, 1000, 0, 5000, 250, 500, 0, 3, 1000, 5, 0}
	for _, kind := range []Arrivals{Constant, Poisson} {
		got := make([]int, len(phases))
		last := clock.Time(-1)
		for s := newSchedule(phases, kind, 0, 1, 7, 0); s.next != clock.Never; s.advance() {
			if s.next < last {
				t.Fatalf("%v: an arrival at %d after one at %d", kind, s.next, last)
			}
			last = s.next
			at := time.Duration(s.next)
			for i, p := range phases {
				if at < p.For {
					got[i]++
					break
				}
				at -= p.For
			}
		}
		for i := range want {
			slack := 1.0
			if kind == Poisson {
				slack += 4 * math.Sqrt(float64(want[i])) // four standard deviations
			}
			if math.Abs(float64(got[i]-want[i])) > slack {
				t.Errorf("%v: %d arrivals in phase %d, want %d", kind, got[i], i, want[i])
			}
		}
	}
}

// Distances between Poisson arrivals, of all shards together, have an exponential distribution: its mean and its deviation are the same.
func TestPoissonArrivals(t *testing.T) {
	const rate = 10_000.0
	for _, shards := range []int{1, 4} {
		all := arrivalTimes([]Phase{{rate, rate, 20 * time.Second}}, Poisson, shards, 3)
		if n := float64(len(all)); math.Abs(n-20*rate) > 4*math.Sqrt(20*rate) {
			t.Errorf("%d shards: %.0f arrivals, want %.0f", shards, n, 20*rate)
		}
		// Counted in boxes of a millisecond, variance and mean are equal for Poisson arrivals, 0 for constant ones.
		boxes := make([]float64, 20_000)
		for _, at := range all {
			boxes[int(at/clock.Time(time.Millisecond))]++
		}
		mean, variance := 0.0, 0.0
		for _, n := range boxes {
			mean += n / float64(len(boxes))
		}
		for _, n := range boxes {
			variance += (n - mean) * (n - mean) / float64(len(boxes))
		}
		if variance/mean < 0.95 || variance/mean > 1.05 {
			t.Errorf("%d shards: arrivals in a millisecond have mean %.2f and variance %.2f", shards, mean, variance)
		}
	}
	a, b, c := arrivalTimes([]Phase{{100, 100, time.Second}}, Poisson, 2, 1), arrivalTimes([]Phase{{100, 100, time.Second}}, Poisson, 2, 1),
		arrivalTimes([]Phase{{100, 100, time.Second}}, Poisson, 2, 2)
	if len(a) != len(b) || a[0] != b[0] || a[len(a)-1] != b[len(b)-1] {
		t.Error("the same seed gives other arrivals")
	}
	if a[0] == c[0] {
		t.Error("another seed gives the same arrivals")
	}
}

func TestRateAt(t *testing.T) {
	phases := []Phase{{0, 100, 10 * time.Second}, {50, 50, time.Second}}
	for _, c := range []struct {
		at   time.Duration
		want float64
	}{{0, 0}, {5 * time.Second, 50}, {10 * time.Second, 50}, {10500 * time.Millisecond, 50}, {11 * time.Second, 0}} {
		if got := rateAt(phases, c.at); got != c.want {
			t.Errorf("after %v: %v, want %v", c.at, got, c.want)
		}
	}
	if length(phases) != 11*time.Second {
		t.Errorf("%v", length(phases))
	}
}

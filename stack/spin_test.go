package stack

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSpinner has waits of some kind come one after the other and looks how much polling the last thousand of them cost, and how many
// ended without a sleep.
func TestSpinner(t *testing.T) {
	const limit = 20 * time.Microsecond
	r := rand.New(rand.NewPCG(1, 0))
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(r.Int64N(int64(b-a))) }
	for _, c := range []struct {
		name     string
		wait     func(i int, polled time.Duration) time.Duration // how long nothing comes, if the shard polls for so long
		min, max int                                             // waits of a thousand that end while polling
		polls    int                                             // and polls that find nothing, at most
	}{
		{"back to back", func(int, time.Duration) time.Duration { return between(time.Microsecond, 15*time.Microsecond) }, 1000, 1000, 0},
		{"mostly short", func(i int, _ time.Duration) time.Duration {
			if i%4 == 0 {
				return time.Millisecond
			}
			return 5 * time.Microsecond
		}, 700, 800, 260},
		{"mostly long", func(i int, _ time.Duration) time.Duration {
			if i%4 != 0 {
				return time.Millisecond
			}
			return 5 * time.Microsecond
		}, 0, 30, 60},
		{"sparse", func(int, time.Duration) time.Duration { return between(100*time.Microsecond, time.Second) }, 0, 0, 0},
		{"whoever feeds the shard waits for its CPU", func(_ int, polled time.Duration) time.Duration { return polled + 2*time.Microsecond }, 0, 0, 5},
	} {
		p := spinner{limit: limit}
		hits, misses := 0, 0
		for i := range 2000 {
			if i == 1000 {
				hits, misses = 0, 0
			}
			polled := p.length()
			wait := c.wait(i, polled)
			switch {
			case wait <= polled:
				hits++
				p.found()
			default:
				if polled > 0 {
					misses++
				}
				p.slept(wait)
			}
		}
		if hits < c.min || hits > c.max || misses > c.polls {
			t.Errorf("%s: %d waits ended while polling, want %d to %d; %d polls found nothing, want at most %d", c.name, hits, c.min, c.max,
				misses, c.polls)
		}
	}
}

// TestSpinnerFollows has long waits become short ones, after however many: the shard polls again before long.
func TestSpinnerFollows(t *testing.T) {
	for _, long := range []int{1, 10, 1000, 100_000} {
		p := spinner{limit: 20 * time.Microsecond}
		for range long {
			p.slept(time.Millisecond)
		}
		short := 0
		for ; p.length() == 0 && short < 1000; short++ {
			p.slept(5 * time.Microsecond)
		}
		if short > spinWanted {
			t.Errorf("after %d long waits, %d short ones until the shard polls, want at most %d", long, short, spinWanted)
		}
		if p.found(); p.length() == 0 {
			t.Errorf("after %d long waits the shard does not go on polling", long)
		}
	}
	never := spinner{limit: -1}
	never.slept(time.Microsecond)
	if never.length() > 0 {
		t.Error("a shard polls that is not to")
	}
}

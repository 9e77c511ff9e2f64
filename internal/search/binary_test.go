package search

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func binary() Binary { return Binary{Range: gigabit, Duration: time.Second} }

func TestBinaryFindsTheLimit(t *testing.T) {
	seeds(t, func(t *testing.T, rnd *rand.Rand) {
		capacity := anywhere(Range{Min: 2000, Max: gigabit.Max}, rnd)
		b := binary()
		b.Width = math.Pow(10, -1-2*rnd.Float64())
		f, trials, err := b.Search(sharp(capacity).measure)
		if err != nil {
			t.Fatal(err)
		}
		between(t, "limit", f, capacity, b.Width, 1e-3) // a trial has a thousand packets at least
		if f.Throughput != f.Lower {
			t.Errorf("throughput %v, although nothing is lost at %v", f.Throughput, f.Lower)
		}
		// Halving comes down to the capacity, then to the width.
		if most := int(math.Log2(gigabit.Max/capacity)+math.Log2(1/b.Width)) + 4; len(trials) > most {
			t.Errorf("%d trials, want at most %d", len(trials), most)
		}
	})
}

func TestBinaryAllowsLoss(t *testing.T) {
	b := binary()
	b.Loss = 0.01
	f, _, err := b.Search(sharp(100_000).measure)
	if err != nil {
		t.Fatal(err)
	}
	between(t, "limit", f, 100_000/0.99, defaultWidth, 1e-4)
	if math.Abs(f.Throughput-100_000) > 500 {
		t.Errorf("throughput %v, want the device's 100000, not the load", f.Throughput)
	}
}

func TestBinaryEnds(t *testing.T) {
	for _, c := range []struct {
		name         string
		d            device
		limits       Limits
		end          End
		lower, upper float64
	}{
		{"beyond the line rate", sharp(2e6), Limits{}, AboveMax, gigabit.Max, 0},
		{"just the line rate", sharp(gigabit.Max), Limits{}, AboveMax, gigabit.Max, 0},
		{"zero capacity", sharp(0), Limits{}, BelowMin, 0, gigabit.Min},
		{"less than the lowest load", sharp(100), Limits{}, BelowMin, 0, gigabit.Min},
		{"too many trials", sharp(1e6), Limits{Trials: 2}, OutOfTrials, gigabit.Min/2 + gigabit.Max/2, gigabit.Max},
		{"out of time", sharp(1e6), Limits{Time: 3 * time.Second}, OutOfTime, gigabit.Min/2 + gigabit.Max/2, gigabit.Max},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := binary()
			b.Limits = c.limits
			f, trials, err := b.Search(c.d.measure)
			if err != nil {
				t.Fatal(err)
			}
			if f.End != c.end || f.Lower != c.lower || f.Upper != c.upper {
				t.Errorf("%v: %v to %v; want %v: %v to %v", f.End, f.Lower, f.Upper, c.end, c.lower, c.upper)
			}
			if len(trials) > 25 {
				t.Errorf("%d trials", len(trials))
			}
		})
	}
}

func TestBinaryTriesAgain(t *testing.T) {
	seeds(t, func(t *testing.T, rnd *rand.Rand) {
		capacity := anywhere(Range{Min: 10_000, Max: 1e6}, rnd)
		b := binary()
		b.Attempts = 4 // a good load has bad luck four times in a row once in ten thousand
		f, trials, err := b.Search(spiky(sharp(capacity), 0.1, rnd).measure)
		if err != nil {
			t.Fatal(err)
		}
		between(t, "limit", f, capacity, defaultWidth, 1e-3)
		if len(trials) > 4*20 {
			t.Errorf("%d trials", len(trials))
		}
	})
}

func TestBinaryReturnsTheErrorAndWhatIsKnown(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	f, trials, err := binary().Search(func(tr Trial) (Outcome, error) {
		if n++; n == 4 {
			return Outcome{}, broken
		}
		return sharp(1e6).measure(tr)
	})
	if !errors.Is(err, broken) || f.End != Stopped || len(trials) != 3 || f.Lower == 0 || f.Upper == 0 {
		t.Errorf("%+v after %d trials, error %v; want both bounds, 3 trials, the error", f, len(trials), err)
	}
}

func TestBinaryTellsOfItsProgress(t *testing.T) {
	var events []Event
	b := binary()
	b.Progress = func(e Event) { events = append(events, e) }
	_, trials, err := b.Search(sharp(1e6).measure)
	if err != nil || len(events) != 2*len(trials) {
		t.Fatalf("%d events of %d trials, error %v", len(events), len(trials), err)
	}
	total := time.Duration(len(trials)) * 1050 * time.Millisecond
	for i, e := range events {
		if (e.Outcome != nil) != (i%2 == 1) || e.Trials != (i+1)/2 {
			t.Errorf("event %d: %+v", i, e)
		}
		if i > 0 && (e.Spent+e.Remaining < total*6/10 || e.Spent+e.Remaining > total*14/10) {
			t.Errorf("event %d: spent %v, remaining %v; it took %v", i, e.Spent, e.Remaining, total)
		}
	}
}

func TestBinaryRefuses(t *testing.T) {
	for name, b := range map[string]Binary{
		"no range":    {Duration: time.Second},
		"turned":      {Range: Range{Min: 2, Max: 1}, Duration: time.Second},
		"no number":   {Range: Range{Min: 1, Max: math.NaN()}, Duration: time.Second},
		"infinite":    {Range: Range{Min: 1, Max: math.Inf(1)}, Duration: time.Second},
		"no duration": {Range: gigabit},
		"loss":        {Range: gigabit, Duration: time.Second, Loss: 1},
		"width":       {Range: gigabit, Duration: time.Second, Width: 1e-9},
	} {
		if _, _, err := b.Search(func(Trial) (Outcome, error) { panic("a trial") }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

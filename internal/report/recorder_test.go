package report

import (
	"testing"
	"time"
)

// A run that begins and ends within a second has an entry for each second that it touches, and totals that are those of the series.
func TestRecorder(t *testing.T) {
	r := sample(t, 0, 1, began)
	if r.Duration != 3*time.Second || !r.Start.Equal(began) {
		t.Errorf("measured %v from %v", r.Duration, r.Start)
	}
	if len(r.Series) != 4 {
		t.Fatalf("%d entries, want 4: of 0.6, 1, 1 and 0.4 s", len(r.Series))
	}
	for i, span := range []time.Duration{600 * time.Millisecond, time.Second, time.Second, 400 * time.Millisecond} {
		s := r.Series[i]
		if s.Span != span || s.Time != began.Unix()+int64(i) {
			t.Errorf("entry %d: %v of second %d", i, s.Span, s.Time-began.Unix())
		}
		if s.Counters["done"] != 100 || s.Errors["timeout"] != 1 || s.Histograms["total"].TotalCount() != 100 {
			t.Errorf("entry %d: %v %v, %d values", i, s.Counters, s.Errors, s.Histograms["total"].TotalCount())
		}
	}
	if r.Counters["done"] != 400 || r.Failed() != 4 || r.Histograms["total"].TotalCount() != 400 || r.CPU.Total() != 1200*time.Millisecond {
		t.Errorf("totals %v, errors %v, CPU %v", r.Counters, r.Errors, r.CPU)
	}
	if got, want := r.ErrorShare(), 4.0/404; got != want {
		t.Errorf("share of errors %v, want %v", got, want)
	}
	if got := r.Rate("done"); got < 133.3 || got > 133.4 {
		t.Errorf("rate %v", got)
	}
}

// What happened during the warm-up is in the series, marked, and not in the totals; of the second in which it ends only what was measured.
func TestRecorderWarmup(t *testing.T) {
	g := newGenerator()
	g.totals.Warmup = true
	r := NewRecorder(head(0, 1), began)
	g.do(t, 1000, time.Second)
	first := r.Tick(NextTick(began), g.now())
	g.do(t, 1000, time.Second)
	second := r.Tick(NextTick(began).Add(time.Second), g.now())
	measured := NextTick(began).Add(1300 * time.Millisecond)
	g = newGenerator()
	g.totals.Since = measured
	g.do(t, 10, time.Millisecond)
	third := r.Tick(NextTick(measured), g.now())
	g.do(t, 10, time.Millisecond)
	g.totals.Since = measured.Add(3 * time.Microsecond) // as well as it can tell
	g.totals.Elapsed = 900 * time.Millisecond
	result := r.End(measured.Add(time.Second), g.now())
	if !first.Warmup || !second.Warmup || third.Warmup || third.Counters["done"] != 10 || third.Span != 700*time.Millisecond {
		t.Errorf("%+v, %+v, %+v", first, second, third)
	}
	if s := result.Series; len(s) != 4 || s[1].Time != began.Unix()+1 || !s[1].Warmup || s[2].Warmup || s[2].Counters["done"] != 10 {
		t.Errorf("entries of the series: %+v", s)
	}
	h := result.Histograms["total"]
	if result.Counters["done"] != 20 || h.TotalCount() != 20 || h.Max() > int64(time.Millisecond)*1002/1000 {
		t.Errorf("the warm-up is among what was measured: %v, at most %d ns", result.Counters, h.Max())
	}
	if !result.Start.Equal(measured) || result.Duration != 900*time.Millisecond {
		t.Errorf("measured from %v for %v", result.Start, result.Duration)
	}
}

// A run that is interrupted while it warms up has measured nothing.
func TestRecorderOnlyWarmup(t *testing.T) {
	g := newGenerator()
	g.totals.Warmup = true
	r := NewRecorder(head(0, 1), began)
	g.do(t, 1000, time.Second)
	result := r.End(began.Add(500*time.Millisecond), g.now())
	if result.Counters["done"] != 0 || len(result.Histograms) != 0 || len(result.Notes) != 1 || !result.Series[0].Warmup {
		t.Errorf("%+v", result)
	}
}

// A tick that comes late makes one longer entry, no second twice.
func TestRecorderLateTick(t *testing.T) {
	g := newGenerator()
	r := NewRecorder(head(0, 1), began)
	at := began
	for _, d := range []time.Duration{600, 1050, 930, 1020, 3000, 1000} {
		at = at.Add(d * time.Millisecond)
		g.do(t, 1, time.Millisecond)
		r.Tick(at, g.now())
	}
	result := r.End(at, g.now())
	var total time.Duration
	var done uint64
	for i, s := range result.Series {
		if i > 0 && s.Time <= result.Series[i-1].Time {
			t.Errorf("entry %d is of second %d, after %d", i, s.Time, result.Series[i-1].Time)
		}
		total += s.Span
		done += s.Counters["done"]
	}
	if total != result.Duration || done != 6 {
		t.Errorf("the series has %v and %d requests, the run %v and 6", total, done, result.Duration)
	}
}

package report

import (
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// began is when every run of these tests begins: in the middle of a second.
var began = time.Unix(1_800_000_000, 400e6)

// generator counts as a real one does.
type generator struct {
	totals Totals
	hist   *hdrhistogram.Histogram
}

func newGenerator() *generator {
	g := &generator{hist: hdrhistogram.New(lowest, highest, digits)}
	g.totals.Since = began
	g.totals.Counters, g.totals.Errors, g.totals.TCP = map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	return g
}

// do records n requests that took so long.
func (g *generator) do(t testing.TB, n int64, took time.Duration) {
	t.Helper()
	g.totals.Counters["done"] += uint64(n)
	if err := g.hist.RecordValues(int64(took), n); err != nil {
		t.Fatal(err)
	}
}

// now returns the totals, which later work does not change.
func (g *generator) now() Totals {
	t := g.totals
	t.Counters, t.Errors = addCounts(nil, t.Counters), addCounts(nil, t.Errors)
	t.Histograms = map[string]*hdrhistogram.Histogram{"total": g.hist.Clone()}
	return t
}

// head is what the results of these tests are of.
func head(worker, workers int) Result {
	return Result{Tool: "load", Version: "v1", Workers: workers, Of: []int{worker}, Main: "total", RateOf: "done",
		Setup: []Setting{{"rate", "1000/s"}}}
}

// sample is the result of three seconds of one worker: 100 requests of 1 ms times worker + 1 a second, one failure each second.
func sample(t testing.TB, worker, workers int, start time.Time) *Result {
	t.Helper()
	g := newGenerator()
	g.totals.Since = start
	r := NewRecorder(head(worker, workers), start)
	for now := NextTick(start); ; now = NextTick(now) {
		g.do(t, 100, time.Duration(worker+1)*time.Millisecond)
		g.totals.Errors["timeout"]++
		g.totals.CPU.User += 300 * time.Millisecond
		if now.Sub(start) >= 3*time.Second {
			return r.End(start.Add(3*time.Second), g.now())
		}
		r.Tick(now, g.now())
	}
}

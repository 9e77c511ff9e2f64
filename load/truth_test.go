package load

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/sim"
)

// Truth tests: what is reported of a server whose service times are known is what they are. In virtual time the path takes nothing but the
// shards' turns, of 1 µs each, so that no allowance is needed but for these and for the histograms' precision.
const (
	pathTime  = 30 * time.Microsecond // of a request and its answer through both stacks, at most
	precision = 0.001                 // of a histogram with three digits
)

// known has a server on port 80 whose requests take the given times.
func known(t *testing.T, delay string) *world {
	t.Helper()
	d, err := service.ParseDelay(delay)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, sim.Impairment{})
	h, err := service.NewHTTP(service.HTTPConfig{Made: true, Size: 100, Delay: d, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	w.server.Shard(0).SetOnTurn(h.OnTurns(1)[0])
	w.serve(":80", h)
	return w
}

// holds compares a percentile with what is true, from to to.
func holds(t *testing.T, h *hdrhistogram.Histogram, percentile float64, from, to time.Duration) {
	t.Helper()
	got := time.Duration(h.ValueAtPercentile(percentile))
	low, high := float64(from)*(1-precision), float64(to+pathTime)*(1+precision)
	if float64(got) < low || float64(got) > high {
		t.Errorf("p%v is %v, want %v to %v", percentile, got, time.Duration(low), time.Duration(high))
	}
}

// Each request takes 5 ms, and that is what every percentile says, in an open loop and in a closed one.
func TestTruthFixed(t *testing.T) {
	for name, cfg := range map[string]Config{
		"open, constant": {Phases: constant(1000, 5*time.Second)},
		"open, poisson":  {Phases: constant(1000, 5*time.Second), Arrivals: Poisson, Connections: 256},
		"open, connect":  {Phases: constant(1000, 5*time.Second), Mode: Connections},
		"closed":         {Duration: 5 * time.Second, Connections: 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := known(t, "5ms")
			cfg.Targets = targets(80)
			s := w.run(cfg)
			if s.Failed != 0 || math.Abs(float64(s.Done)-5000) > 300 {
				t.Fatalf("%d done, %v", s.Done, s.ErrorsByName())
			}
			for _, p := range []float64{0.1, 50, 90, 99, 99.9, 99.99, 100} {
				holds(t, s.Total, p, 5*time.Millisecond, 5*time.Millisecond)
				holds(t, s.FirstByte, p, 5*time.Millisecond, 5*time.Millisecond)
			}
		})
	}
}

// Nine requests of ten take 1 ms and one takes 50 ms: the percentiles on either side say so, and the shares are right.
func TestTruthBimodal(t *testing.T) {
	w := known(t, "90%:1ms,10%:50ms")
	s := w.run(Config{Targets: targets(80), Phases: constant(2000, 10*time.Second), Arrivals: Poisson, Connections: 1024})
	if s.Failed != 0 || s.Done < 19_000 {
		t.Fatalf("%d done, %v", s.Done, s.ErrorsByName())
	}
	slow := 0.0
	for _, b := range s.Total.Distribution() {
		if b.From > int64(10*time.Millisecond) {
			slow += float64(b.Count)
		}
	}
	// The dice are fair: the share is within four standard deviations of what it is to be.
	n := float64(s.Done)
	if sigma := math.Sqrt(n * 0.1 * 0.9); math.Abs(slow-0.1*n) > 4*sigma {
		t.Errorf("%.0f of %.0f are slow, want %.0f ± %.0f", slow, n, 0.1*n, 4*sigma)
	}
	edge := 100 * (1 - slow/n) // where the one becomes the other, exactly
	for _, p := range []float64{1, 50, 80, edge - 0.02} {
		holds(t, s.Total, p, time.Millisecond, time.Millisecond)
	}
	for _, p := range []float64{edge + 0.02, 95, 99, 99.9, 100} {
		holds(t, s.Total, p, 50*time.Millisecond, 50*time.Millisecond)
	}
}

// The server answers nothing for a second. Independent users who come at a constant rate during it wait for what is left of it, on
// average half of it, and the open loop says so. The closed loop asks nothing while it waits: of the thousands that would have come it has
// seen as many as it has connections, and its p99 is that of a server that never stopped.
func TestTruthStall(t *testing.T) {
	const rate, length, connections = 1000, 10, 10
	const stalled = "1ms,stall:1s@3s"
	open := known(t, stalled).run(Config{Targets: targets(80), Phases: constant(rate, length*time.Second), Connections: 2048})
	if open.Failed != 0 || open.Done != rate*length {
		t.Fatalf("open loop: %d done, %v", open.Done, open.ErrorsByName())
	}
	// A tenth of the requests came during the stall, evenly: the rarest p percent of all waited for (10-p)/10 of it at least. Arrivals are
	// 1 ms apart, and those of the last 1 ms before the stall fall into it with their service time.
	const apart = time.Second / rate
	for _, p := range []float64{91, 92, 95, 98, 99, 99.5} {
		want := time.Duration((p - 90) / 10 * float64(time.Second))
		holds(t, open.Total, p, want-apart, want+2*apart)
	}
	holds(t, open.Total, 100, time.Second-apart, time.Second+apart)
	holds(t, open.Total, 89, time.Millisecond, time.Millisecond)

	// With 8 connections, which make 8 requests a millisecond, those that came during the stall leave one after another when it is over: the
	// one that came a after its beginning has waited for 1 s - a + a/8.
	few := known(t, stalled).run(Config{Targets: targets(80), Phases: constant(rate, length*time.Second), Connections: 8})
	if few.Failed != 0 || few.Done != rate*length {
		t.Fatalf("open loop on few connections: %d done, %v", few.Done, few.ErrorsByName())
	}
	for _, p := range []float64{91, 95, 99, 99.9} {
		want := time.Second - time.Duration((100-p)/10*7/8*float64(time.Second))
		holds(t, few.Total, p, want-2*apart, want+4*apart)
	}

	closed := known(t, stalled).run(Config{Targets: targets(80), Duration: length * time.Second, Connections: connections,
		Think: connections*time.Second/rate - time.Millisecond}) // so that it asks as often, while it is answered
	if closed.Failed != 0 || closed.Done < rate*length*8/10 {
		t.Fatalf("closed loop: %d done, %v", closed.Done, closed.ErrorsByName())
	}
	holds(t, closed.Total, 99, time.Millisecond, time.Millisecond)
	holds(t, closed.Total, 100, 900*time.Millisecond, time.Second+apart) // it did happen
	late := 0
	for _, b := range closed.Total.Distribution() {
		if b.From > int64(10*time.Millisecond) {
			late += int(b.Count)
		}
	}
	if late > connections {
		t.Errorf("closed loop: %d requests were late, want one of each of %d connections", late, connections)
	}
	t.Log(compared("open", &open), compared("closed", &closed))
}

// compared writes what the two kinds of loop say of the same server.
func compared(name string, s *Snapshot) string {
	return fmt.Sprintf("%s: %d requests, p50 %v, p99 %v, max %v;", name, s.Done, time.Duration(s.Total.ValueAtPercentile(50)),
		time.Duration(s.Total.ValueAtPercentile(99)), time.Duration(s.Total.Max()))
}

package rfc2544

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func run(t *testing.T, d *simDevice, c Config) *Report {
	t.Helper()
	r, err := Run(t.Context(), d, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func near(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if math.Abs(got-want) > want*share {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestThroughputOfEverySize(t *testing.T) {
	const capacity = 100_000
	for _, m := range []Method{Binary, MLR} {
		r := run(t, &simDevice{capacity: capacity}, Config{Tests: []Test{Throughput}, Method: m})
		if len(r.Rows) != len(Sizes) {
			t.Fatalf("%d rows", len(r.Rows))
		}
		for _, row := range r.Rows {
			if row.Size == 9000 {
				if row.Skipped == "" || row.Throughput != nil {
					t.Errorf("%v: %+v: want the reason why not", row.Size, row)
				}
				continue
			}
			got := row.Throughput[0]
			switch line := row.Size.Line(1e9); {
			case line < capacity:
				if math.Abs(got.Rate-line) > 20 || got.Regular || got.Upper != 0 || got.Share < 0.9999 || !strings.Contains(got.Note, "highest") {
					t.Errorf("%v %v: %+v: want all of the line's %v, and no upper bound", m, row.Size, got, line)
				}
			default:
				near(t, "throughput of "+row.Size.String(), got.Rate, capacity, 0.005)
				if got.Lower > capacity*1.00001 || got.Upper < capacity || !got.Regular || got.Note != "" {
					t.Errorf("%v %v: %+v", m, row.Size, got)
				}
				near(t, "bits", got.Bits, got.Rate*8*(row.Size.Mean()+20), 1e-9)
			}
		}
	}
}

func TestLineRatesAreTheStandards(t *testing.T) {
	for size, want := range map[Size]float64{64: 1_488_095, 512: 234_962, 1518: 81_274} {
		near(t, size.String(), size.Line(1e9), want, 1e-5)
	}
	if got := IMIX.Mean(); math.Abs(got-361.833) > 0.001 {
		t.Errorf("mean of IMIX: %v", got)
	}
}

func TestHighestRate(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want float64
	}{
		{Config{}, 81_274},
		{Config{MaxRate: 1000}, 1000},
		{Config{MaxRate: 200_000}, 200_000}, // the user knows a faster medium
		{Config{MaxBits: 5e8}, 40_637},
		{Config{MaxBits: 5e8, MaxRate: 50_000}, 40_637},
		{Config{MaxBits: 5e8, MaxRate: 2000}, 2000},
	} {
		c.cfg.Tests, c.cfg.Sizes = []Test{Throughput}, []Size{1518}
		r := run(t, &simDevice{capacity: 1e9}, c.cfg)
		near(t, "highest rate", r.Rows[0].Throughput[0].Lower, c.want, 1e-4)
	}
}

func TestNDRAndPDR(t *testing.T) {
	d := &simDevice{capacity: 500_000, every: 1000} // 0.1 % is always lost
	r := run(t, d, Config{Tests: []Test{Throughput}, Sizes: []Size{64}, Method: MLR, NDR: true, PDR: 0.005})
	ndr, pdr := r.Rows[0].Throughput[0], r.Rows[0].Throughput[1]
	if ndr.Goal != "NDR" || ndr.Lower > 10_000 || ndr.Regular {
		t.Errorf("NDR: %+v: want next to nothing, because frames are lost at any rate", ndr)
	}
	if pdr.Goal != "PDR" || pdr.Loss != 0.005 || !pdr.Regular {
		t.Errorf("PDR: %+v", pdr)
	}
	near(t, "PDR", pdr.Rate, 500_000, 0.006)
}

func TestTheSendersLimitIsNotTheDevices(t *testing.T) {
	for _, m := range []Method{Binary, MLR} {
		d := &simDevice{capacity: 1e9, sender: 300_000}
		c := Config{Tests: []Test{Throughput, Latency}, Sizes: []Size{64}, Method: m, LatencyTrials: 1}
		r := run(t, d, c)
		got := r.Rows[0].Throughput[0]
		near(t, "throughput", got.Rate, 300_000, 1e-4)
		if got.Lower != got.Rate || got.Regular || !strings.Contains(got.Note, "sender's limit") || r.Trials > 20 {
			t.Errorf("%v: %+v after %d trials: want what was sent, and that the limit is the sender's", m, got, r.Trials)
		}
		near(t, "rate of the latency test", r.Rows[0].Latency.Rate, 300_000, 1e-4)
		d.capacity = 290_000
		got = run(t, d, c).Rows[0].Throughput[0]
		near(t, "throughput just below the sender's limit", got.Rate, 290_000, 0.006)
		if !got.Regular || got.Note != "" {
			t.Errorf("%v: %+v: want a result about the device", m, got)
		}
	}
}

// TestAStallOfTheSenderSaysNothing: a trial in which the sender was kept from sending is done again.
func TestAStallOfTheSenderSaysNothing(t *testing.T) {
	for _, m := range []Method{Binary, MLR} {
		d := &simDevice{capacity: 300_000, stalls: 3}
		r := run(t, d, Config{Tests: []Test{Throughput}, Sizes: []Size{64}, Method: m})
		got := r.Rows[0].Throughput[0]
		near(t, "throughput", got.Rate, 300_000, 0.006)
		if got.Note != "" {
			t.Errorf("%v: %+v", m, got)
		}
	}
}

// TestASlowSenderWidensTheBounds: in short trials a sender may be late by some milliseconds, which is more than the width.
func TestASlowSenderWidensTheBounds(t *testing.T) {
	d := &simDevice{capacity: 100_000, stalls: 1, stall: 0.04}
	r := run(t, d, Config{Tests: []Test{Throughput}, Sizes: []Size{64}, Trial: 100 * time.Millisecond})
	got := r.Rows[0].Throughput[0]
	if got.Regular || !strings.Contains(got.Note, "sent 4.0 % slower") || got.Lower > 96_000*1.01 || got.Rate > got.Lower {
		t.Errorf("%+v", got)
	}
}

func TestLatencyIsMeasuredAtTheThroughput(t *testing.T) {
	d := &simDevice{capacity: 200_000}
	r := run(t, d, Config{Tests: []Test{Throughput, Latency}, Sizes: []Size{128}, LatencyTrials: 4})
	row := r.Rows[0]
	if l := row.Latency; l == nil || l.Rate != row.Throughput[0].Lower || l.Trials != 4 || l.Lost != 0 || l.Frames < 1e6 {
		t.Fatalf("%+v", row.Latency)
	}
	near(t, "mean", row.Latency.Mean, 20_000, 0.001)
	near(t, "p99", float64(row.Latency.P99), 20_000, 0.001)

	r = run(t, d, Config{Tests: []Test{Latency}, Sizes: []Size{128}})
	if row := r.Rows[0]; row.Latency != nil || !strings.Contains(strings.Join(row.Failed, "\n"), "latency: there is no throughput") {
		t.Errorf("without a throughput: %+v", row)
	}
	d.noTimes = true
	r = run(t, d, Config{Tests: []Test{Throughput, Latency}, Sizes: []Size{128}})
	if row := r.Rows[0]; row.Latency != nil || !strings.Contains(strings.Join(row.Failed, "\n"), "no frame came back with its time") {
		t.Errorf("without times: %+v", row)
	}
}

func TestLossGoesDownUntilTwoRatesLoseNothing(t *testing.T) {
	line := Size(64).Line(1e9)
	r := run(t, &simDevice{capacity: line * 0.65}, Config{Tests: []Test{Loss}, Sizes: []Size{64}})
	points := r.Rows[0].Loss
	if len(points) != 6 { // 100 to 70 % with loss, 60 and 50 % without
		t.Fatalf("%d points: %+v", len(points), points)
	}
	for i, p := range points {
		near(t, "share", p.Share, 1-float64(i)/10, 1e-9)
		want := max(0, 1-0.65/p.Share)
		if math.Abs(p.Loss-want) > 1e-5 || p.Short {
			t.Errorf("%+v: want a loss of %v", p, want)
		}
	}
	r = run(t, &simDevice{}, Config{Tests: []Test{Loss}, Sizes: []Size{64}})
	if n := len(r.Rows[0].Loss); n != 10 || r.Rows[0].Loss[9].Loss != 1 {
		t.Errorf("a device that forwards nothing: %d points", n)
	}
	r = run(t, &simDevice{capacity: 1e9, sender: line / 2}, Config{Tests: []Test{Loss}, Sizes: []Size{64}})
	p := r.Rows[0].Loss[0]
	near(t, "highest rate of a slow sender", p.Rate, line/2, 1e-4)
	near(t, "what it reaches", r.Rows[0].Sender, line/2, 1e-4)
	if p.Short || p.Loss != 0 || p.Share != 1 {
		t.Errorf("a slow sender: %+v", p)
	}
}

func TestBackToBackFindsTheBuffer(t *testing.T) {
	line := Size(64).Line(1e9)
	for _, buffer := range []float64{1, 7, 256, 5000, 100_000} {
		d := &simDevice{capacity: line / 2, buffer: buffer}
		c := Config{Tests: []Test{Throughput, BackToBack}, Sizes: []Size{64}, Bursts: 5}
		r := run(t, d, c)
		b := r.Rows[0].Burst
		want := 2 * buffer // half of a burst leaves while it comes
		if math.Abs(b.Mean-want) > max(1, want*0.006) || b.Searches != 5 || b.Deviation > max(1, want*0.006) || b.Unlimited {
			t.Errorf("buffer of %v: %+v", buffer, b)
		}
		near(t, "implied", b.Implied.Seconds(), b.Mean/line, 1e-3)
		near(t, "corrected", b.Corrected.Seconds(), b.Mean/line/2, 0.03) // the throughput is up to 3 % too high because of the buffer
	}
	r := run(t, &simDevice{capacity: line}, Config{Tests: []Test{BackToBack}, Sizes: []Size{64}})
	if b := r.Rows[0].Burst; !b.Unlimited || b.Searches != 1 || r.Trials != 2 || b.Note == "" {
		t.Errorf("no limit: %+v", b)
	}
	r = run(t, &simDevice{}, Config{Tests: []Test{BackToBack}, Sizes: []Size{64}})
	if b := r.Rows[0].Burst; b.Max != 0 || b.Note == "" {
		t.Errorf("a device that forwards nothing: %+v", b)
	}
	r = run(t, &simDevice{capacity: line / 10, buffer: 1000, sender: line / 5}, Config{Tests: []Test{BackToBack}, Sizes: []Size{64}})
	if b := r.Rows[0].Burst; !strings.Contains(b.Note, "20 % of the medium's rate") {
		t.Errorf("a slow sender: %+v", b)
	}
}

func TestNothingComesThrough(t *testing.T) {
	r := run(t, &simDevice{}, Config{Tests: []Test{Throughput, Latency}, Sizes: []Size{64}})
	if row := r.Rows[0]; row.Throughput != nil || len(row.Failed) != 2 {
		t.Errorf("%+v: want a reason", row)
	}
}

func TestStopReturnsWhatIsDone(t *testing.T) {
	d := &simDevice{capacity: 300_000, stop: 21}
	r, err := Run(t.Context(), d, Config{Tests: []Test{Throughput}, Sizes: []Size{64, 128, 256}})
	if !errors.Is(err, errSim) || r == nil || r.Stopped == "" {
		t.Fatalf("%+v, error %v", r, err)
	}
	if len(r.Rows) != 2 || !r.Rows[0].Throughput[0].Regular || r.Trials != 20 {
		t.Errorf("%d rows after %d trials: %+v", len(r.Rows), r.Trials, r.Rows)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := Config{Sizes: []Size{64}, Progress: func(e Event) {
		if e.Test == Loss {
			cancel()
		}
	}}
	r, err = Run(ctx, &simDevice{capacity: 500_000}, c)
	if !errors.Is(err, context.Canceled) || r.Rows[0].Latency == nil || r.Rows[0].Burst != nil {
		t.Errorf("%+v, error %v: want throughput and latency", r, err)
	}
}

func TestProgressAndEstimate(t *testing.T) {
	d := &simDevice{capacity: 70_000, buffer: 1000}
	var events []Event
	r := run(t, d, Config{Sizes: []Size{64, 128, 256, 1518, IMIX}, Progress: func(e Event) { events = append(events, e) }})
	if len(events) != 2*r.Trials || r.Took != d.total {
		t.Fatalf("%d events of %d trials; took %v, and the device says %v", len(events), r.Trials, r.Took, d.total)
	}
	for i, e := range events {
		if e.Step == "" || (e.Outcome != nil) != (i%2 == 1) {
			t.Errorf("event %d: %+v", i, e)
		}
		if sum := e.Spent + e.Remaining; sum < r.Took/2 || sum > r.Took*2 {
			t.Errorf("event %d, %s with %v: spent %v, remaining %v; it took %v", i, e.Test, e.Size, e.Spent, e.Remaining, r.Took)
		}
	}
}

func TestDeviations(t *testing.T) {
	if d := Standard().Deviations(); len(d) > 0 {
		t.Errorf("the standard deviates: %q", d)
	}
	quick := strings.Join(Quick().Deviations(), "\n")
	for _, want := range []string{"section 24: the trials of the throughput test last 5s, not 1m0s", "not 20", "not 50", "section 23"} {
		if !strings.Contains(quick, want) {
			t.Errorf("%q misses %q", quick, want)
		}
	}
	c := Standard()
	c.Method, c.NDR = MLR, true
	if d := c.Deviations(); len(d) != 1 || !strings.Contains(d[0], "NDR") {
		t.Errorf("a vote: %q", d)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"method": {Method: "x"}, "goals": {NDR: true}, "pdr": {Method: MLR, PDR: 1}, "width": {Width: 2}, "trial": {Trial: 1},
		"wait": {Wait: -1}, "bursts": {Bursts: -1}, "step": {LossStep: 2}, "rates": {MinRate: 2, MaxRate: 1}, "nan": {PDR: math.NaN(), Method: MLR},
	} {
		if _, err := Run(t.Context(), &simDevice{}, c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	r := run(t, &simDevice{capacity: 200_000}, Config{Sizes: []Size{64, 9000, IMIX}})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(&back, r) {
		t.Errorf("%v\n%+v, want\n%+v", err, back, r)
	}
	for _, bad := range []string{`{"rows":[{"size":"all"}]}`, `{"rows":[{"size":"1"}]}`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestParse(t *testing.T) {
	sizes, err := ParseSizes("64,1518,IMIX")
	if err != nil || !reflect.DeepEqual(sizes, []Size{64, 1518, IMIX}) {
		t.Errorf("%v, %v", sizes, err)
	}
	tests, err := ParseTests("loss,throughput")
	if err != nil || !reflect.DeepEqual(tests, []Test{Throughput, Loss}) {
		t.Errorf("%v, %v", tests, err)
	}
	for _, bad := range []string{"", "63", "9217", "64,", "x", "64 128"} {
		if _, err := ParseSizes(bad); err == nil {
			t.Errorf("sizes %q: no error", bad)
		}
		if _, err := ParseTests(bad); err == nil {
			t.Errorf("tests %q: no error", bad)
		}
	}
}

func TestTheStandardsDurationIsKept(t *testing.T) {
	c := Standard()
	c.Sizes, c.Tests, c.Method = []Size{64}, []Test{Throughput}, MLR
	d := &simDevice{capacity: 400_000}
	r := run(t, d, c)
	if len(r.Deviations) > 0 || r.Took > 20*time.Minute {
		t.Errorf("took %v, deviations %q", r.Took, r.Deviations)
	}
}

package result

import "testing"

func runs(values ...float64) []Run {
	r := make([]Run, len(values))
	for i, v := range values {
		r[i] = Run{Value: v, Seconds: 1, Busy: v / 10, Extra: map[string]float64{"p99 µs": 100 / v, "allocations": 0}}
	}
	return r
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		what    string
		target  Target
		bound   string // the side that is client-bound
		want    Verdict
		decided string
	}{
		{"the worst of the peers decides", Target{Against: "peer", AtLeast: 2}, "", NotMet, "peer, tuned"},
		{"a longer name, one peer", Target{Against: "peer, as it is", AtLeast: 2}, "", Met, "peer, as it is"},
		{"less is better of a further figure", Target{Against: "peer, as it is", Figure: "p99 µs", Lower: true, AtLeast: 3}, "", Met, "peer, as it is"},
		{"work per processor second", Target{Against: "peer, as it is", Figure: PerCPU, AtLeast: 1.01}, "", NotMet, "peer, as it is"},
		{"the client of the peer that decides had no time", Target{Against: "peer", AtLeast: 1}, "peer, tuned", Unproven, "peer, tuned"},
		{"our client had no time", Target{Against: "peer", AtLeast: 1}, "ours", Unproven, "peer, tuned"},
		{"an aim only", Target{Against: "peer", Aim: 4}, "", Reported, "peer, tuned"},
		{"a failed peer", Target{Against: "broken", AtLeast: 1}, "", Unknown, ""},
		{"nothing", Target{Figure: "allocations"}, "", Met, ""},
		{"at most", Target{Figure: "p99 µs", AtMost: 10}, "", NotMet, ""},
		{"at least", Target{Side: "peer, tuned", AtLeast: 5}, "", Met, ""},
		{"no such figure", Target{Figure: "p50 µs", AtMost: 10}, "", Unknown, ""},
	} {
		t.Run(tt.what, func(t *testing.T) {
			b := &Benchmark{Ours: "ours", Targets: []Target{tt.target}, Sides: []*Side{
				{Name: "ours", Runs: runs(9, 9, 9)},
				{Name: "peer, as it is", Runs: runs(3, 2, 3)},
				{Name: "peer, tuned", Runs: runs(6, 5, 5)},
				{Name: "broken", Runs: []Run{{Failed: "no answer"}}},
			}}
			if tt.bound != "" {
				b.Side(tt.bound).ClientBound = true
			}
			b.Finish()
			b.Judge()
			if got := b.Targets[0]; got.Verdict != tt.want || got.Decided != tt.decided {
				t.Errorf("%s: %+v", got.String(), got)
			}
		})
	}
}

func TestNetRatio(t *testing.T) {
	b := &Benchmark{Lower: true, Ours: "ours", Overhead: "harness", Sides: []*Side{
		{Name: "ours", Runs: runs(140, 150)}, {Name: "peer", Runs: runs(540, 1050)}, {Name: "harness", NoPeer: true, Runs: runs(40, 50)},
	}}
	b.Finish()
	if got := b.Side("peer").NetRatio; got != (Summary{7.5, 5, 10, 2}) {
		t.Errorf("%+v", got)
	}
}

package compare

import (
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

func side(name string, values ...float64) *result.Side {
	s := &result.Side{Name: name}
	for _, v := range values {
		r := result.Run{Value: v, Seconds: 1, Extra: map[string]float64{"allocations": 0}}
		if v == 0 {
			r = result.Run{Failed: "no answer"}
		}
		s.Runs = append(s.Runs, r)
	}
	return s
}

func report(lower bool, sides ...*result.Side) *result.Report {
	return &result.Report{Benchmarks: []*result.Benchmark{{
		Name: "b", Unit: "things", Lower: lower, Ours: "ours", Sides: sides,
		Targets: []result.Target{{Against: "peer", AtLeast: 1}, {Figure: "allocations"}},
	}}}
}

func TestVerdicts(t *testing.T) {
	steady := []float64{100, 102, 98, 101, 99}
	faster := []float64{120, 122, 118, 121, 119}
	for _, tt := range []struct {
		what        string
		lower       bool
		ours, ours2 []float64
		peer, peer2 []float64
		want        Verdict
		change, net float64
	}{
		{"nothing", false, steady, steady, steady, steady, Same, 1, 1},
		{"ours became faster", false, steady, faster, steady, steady, Better, 1.2, 1.2},
		{"ours became slower", false, faster, steady, steady, steady, Worse, 1 / 1.2, 1 / 1.2},
		{"ours became dearer", true, steady, faster, steady, steady, Worse, 1 / 1.2, 1 / 1.2},
		{"the machine became faster", false, steady, faster, steady, faster, Same, 1.2, 1},
		{"the machine became slower, ours faster", false, faster, faster, faster, steady, Better, 1, 1.2},
		{"no peer", false, steady, faster, nil, nil, Better, 1.2, 0},
		{"too little to speak of", false, steady, []float64{102.5, 103, 102.6, 102.7, 102.8}, nil, nil, Same, 1.027, 0},
		{"too few", false, []float64{100, 101}, []float64{200, 201}, nil, nil, Unclear, 1.995, 0},
		{"the second failed", false, steady, []float64{0, 0}, nil, nil, Gone, 0, 0},
		{"the first failed", false, []float64{0}, steady, nil, nil, New, 0, 0},
		{"a wide spread", false, []float64{50, 150, 100, 80, 120}, []float64{60, 160, 110, 90, 130}, nil, nil, Same, 1.1, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			a := report(tt.lower, side("ours", tt.ours...))
			b := report(tt.lower, side("ours", tt.ours2...))
			if tt.peer != nil {
				a.Benchmarks[0].Sides = append(a.Benchmarks[0].Sides, side("peer", tt.peer...))
				b.Benchmarks[0].Sides = append(b.Benchmarks[0].Sides, side("peer", tt.peer2...))
			}
			r := Reports(a, b, Options{Alpha: 0.05, Min: 0.03})[0]
			near := func(x, y float64) bool { return x-y < 0.001 && y-x < 0.001 }
			if r.Verdict != tt.want || !near(r.Change, tt.change) || !near(r.Net, tt.net) {
				t.Errorf("%+v", r)
			}
			if n := Regressions([]Row{r}); (n == 1) != (tt.want == Worse) {
				t.Errorf("%d regressions", n)
			}
		})
	}
}

func TestWhatOnlyOneReportHas(t *testing.T) {
	a := report(false, side("ours", 1, 2, 3), side("gone", 1, 2, 3))
	b := report(false, side("ours", 1, 2, 3))
	a.Benchmarks = append(a.Benchmarks, &result.Benchmark{Name: "old", Ours: "ours", Sides: []*result.Side{side("ours", 1)}})
	b.Benchmarks = append(b.Benchmarks, &result.Benchmark{Name: "new", Ours: "ours", Sides: []*result.Side{side("ours", 1)}})
	got := make(map[string]Verdict)
	for _, r := range Reports(a, b, Options{Alpha: 0.05}) {
		got[r.Benchmark+"/"+r.Side+"/"+r.Figure] = r.Verdict
	}
	for key, want := range map[string]Verdict{"old/ours/": Gone, "new/ours/": New, "b/gone/things": Gone, "b/ours/things": Unclear} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
}

func TestFromNothing(t *testing.T) {
	a, b := report(true, side("ours", 5, 5, 5, 5, 5)), report(true, side("ours", 5, 5, 5, 5, 5))
	for i := range b.Benchmarks[0].Sides[0].Runs {
		b.Benchmarks[0].Sides[0].Runs[i].Extra["allocations"] = 0.5
	}
	rows := Reports(a, b, Options{Alpha: 0.05, Min: 0.03})
	if r := rows[1]; r.Figure != "allocations" || r.Verdict != Worse || r.Change > 0.001 {
		t.Errorf("%+v", r)
	}
	if r := Reports(b, a, Options{Alpha: 0.05, Min: 0.03})[1]; r.Verdict != Better {
		t.Errorf("%+v", r)
	}
	if r := Reports(a, a, Options{Alpha: 0.05, Min: 0.03})[1]; r.Verdict != Same {
		t.Errorf("%+v", r)
	}
}

package result

import (
	"math"
	"path/filepath"
	"testing"
)

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want Summary
	}{
		{nil, Summary{}},
		{[]float64{3}, Summary{3, 3, 3, 1}},
		{[]float64{5, 1, 3}, Summary{3, 1, 5, 3}},
		{[]float64{4, 1, 2, 3}, Summary{2.5, 1, 4, 4}},
	} {
		if got := Summarize(tt.in); got != tt.want {
			t.Errorf("Summarize(%v) = %+v, want %+v", tt.in, got, tt.want)
		}
	}
	if got := (Summary{Median: 4, Min: 3, Max: 5}).Spread(); got != 0.5 {
		t.Errorf("Spread = %v, want 0.5", got)
	}
}

func TestRatioIsPairedAndAboveOneWhenOursIsBetter(t *testing.T) {
	// The machine slows down by half over the repeats; each pair keeps the same ratio.
	if got := Ratio([]float64{8, 6, 4}, []float64{4, 3, 2}, false); got != (Summary{2, 2, 2, 3}) {
		t.Errorf("throughput: %+v, want 2 throughout", got)
	}
	if got := Ratio([]float64{100, 200}, []float64{500, 1000}, true); got != (Summary{5, 5, 5, 2}) {
		t.Errorf("cost: %+v, want 5 throughout", got)
	}
	if got := Ratio([]float64{8, 0, math.NaN(), 4}, []float64{4, 3, 2, 0}, false); got != (Summary{2, 2, 2, 1}) {
		t.Errorf("failed runs: %+v, want the one good pair", got)
	}
}

func TestFinishAndRoundTrip(t *testing.T) {
	b := &Benchmark{Name: "x", Unit: "Gbit/s", Ours: "a", Sides: []*Side{
		{Name: "a", Runs: []Run{{Value: 6}, {Value: 9, Extra: map[string]float64{"p99 µs": 7}}, {Failed: "no answer"}}},
		{Name: "b", Runs: []Run{{Value: 3}, {Value: 3}, {Value: 3}}},
		{Name: "c", Skipped: "not root"},
	}}
	b.Finish()
	if got := b.Sides[0].Value; got != (Summary{7.5, 6, 9, 2}) {
		t.Errorf("ours: %+v, the failed run must not count", got)
	}
	if got := b.Sides[1].Ratio; got != (Summary{2.5, 2, 3, 2}) {
		t.Errorf("ratio: %+v", got)
	}
	if got := b.Sides[2].Ratio; got.N != 0 {
		t.Errorf("skipped side has a ratio: %+v", got)
	}
	if s := b.Sides[0].Failed(); s != "no answer" {
		t.Errorf("Failed = %q", s)
	}
	if x, ok := b.Sides[0].Extra("p99 µs"); !ok || x.Median != 7 {
		t.Errorf("Extra = %v, %v", x, ok)
	}
	path := filepath.Join(t.TempDir(), "results", "bench.json")
	if err := (&Report{Benchmarks: []*Benchmark{b}}).Write(path); err != nil {
		t.Fatal(err)
	}
	r, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Benchmarks[0].Side("b").Ratio.Median; got != 2.5 {
		t.Errorf("ratio read back: %v", got)
	}
}

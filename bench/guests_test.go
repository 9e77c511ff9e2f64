package main

import (
	"bytes"
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

func TestReportOfGuest(t *testing.T) {
	r := &result.Report{
		Conditions: []result.Condition{{Name: "kernel", Value: "7.3"}, {Name: "over veth", Value: "nothing"}},
		Benchmarks: []*result.Benchmark{{
			Name: "zerocopy-send-64", Title: "raw", Unit: "Mpps", Ours: ourName, Targets: []result.Target{{Against: copyName, AtLeast: 4}},
			Sides: []*result.Side{
				{Name: ourName, Runs: []result.Run{{Value: 3, Extra: map[string]float64{veth.BothPerFrame: 500}}}},
				{Name: copyName, Runs: []result.Run{{Value: 1, Extra: map[string]float64{veth.BothPerFrame: 5000}}}},
			},
		}},
	}
	var progress bytes.Buffer
	out := &guestOutput{name: "igb", errs: &progress}
	for _, part := range []string{"1 benchmarks, 2 turns\n[1/2, 0s] zerocopy", "-send-64\n"} {
		_, _ = out.Write([]byte(part))
	}
	if err := r.Print(out); err != nil {
		t.Fatal(err)
	}
	if got := progress.String(); got != "igb: [1/2, 0s] zerocopy-send-64\n" {
		t.Errorf("progress %q", got)
	}
	var all result.Report
	for _, counts := range []bool{false, true} {
		r, err := out.report()
		if err != nil {
			t.Fatal(err)
		}
		guestRun{nic: "igb", counts: counts}.add(&all, r)
	}
	for i, want := range []struct {
		name  string
		ratio float64
	}{{"zerocopy-igb-send-64", 3}, {"zerocopy-igb-send-64-instructions", 10}} {
		b := all.Benchmarks[i]
		b.Finish()
		b.Judge()
		if got := b.Targets[0].Measured.Median; b.Name != want.name || got != want.ratio {
			t.Errorf("%s is %v times better, want %s and %v", b.Name, got, want.name, want.ratio)
		}
	}
	if len(all.Conditions) != 2 || all.Conditions[1].Name != "igb, counting: kernel" {
		t.Errorf("conditions %v", all.Conditions)
	}
	broken := &guestOutput{name: "igb"}
	_, _ = broken.Write([]byte("panic: out of memory\n"))
	if _, err := broken.report(); err == nil {
		t.Error("no error without a report")
	}
}

func TestCountedOnly(t *testing.T) {
	for only, want := range map[string]string{
		"zerocopy": "zerocopy-send,zerocopy-generate,zerocopy-bulk", "zerocopy-send-64": "zerocopy-send-64", "zerocopy-receive": "", "zerocopy-b": "zerocopy-bulk",
	} {
		if got := countedOnly(only); got != want {
			t.Errorf("%s: %q, want %q", only, got, want)
		}
	}
}

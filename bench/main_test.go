package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestMain plays a child when the test binary is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if _, ok := children[os.Args[1]]; ok {
			main()
		}
	}
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-only", "core,requests", "-quick", "-repeats", "7"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range groups() {
		got = append(got, o.wantedOf(g)...)
	}
	if !slices.Equal(got, []string{"core-receive", "core-send", "core-connect", "requests"}) || o.times.repeats != 7 || o.times.window != brief.window {
		t.Errorf("wanted %v, times %+v", got, o.times)
	}
	for _, tt := range []struct {
		args                 []string
		json, html, profiles string
	}{
		{nil, "results/bench.json", "results/bench.html", "profiles"},
		{[]string{"-quick"}, "results/quick.json", "results/quick.html", ""},
		{[]string{"-json", "x", "-html", "", "-profile", "y"}, "x", "", "y"},
		{[]string{"-show", "a.json", "-html", "b.html"}, "", "b.html", "profiles"},
	} {
		o, err := parse(tt.args)
		if err != nil || o.json != tt.json || o.html != tt.html || strings.Trim(filepath.Base(o.profile), ".") != tt.profiles {
			t.Errorf("%v: %+v, %v", tt.args, o, err)
		}
	}
	for _, args := range [][]string{{"-only", "nothing"}, {"argument"}, {"-unknown"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

// tiny is a session that shows that everything runs, and measures nothing worth reading.
func tiny(only ...string) *session {
	short := 100 * time.Millisecond
	return &session{started: time.Now(), options: options{only: only, times: times{
		coreRepeats: 1, repeats: 1, pathRepeats: 1, coreWarmup: short, coreWindow: short, warmup: short, window: 3 * short,
		rawWindow:  5 * short, // no process waits longer for its processor, on a machine that is busy with a dozen others
		pathWarmup: short, pathWindow: 3 * short,
	}}}
}

func check(t *testing.T, r *result.Report, benchmarks int) {
	t.Helper()
	if len(r.Benchmarks) != benchmarks {
		t.Errorf("%d benchmarks, want %d", len(r.Benchmarks), benchmarks)
	}
	for _, b := range r.Benchmarks {
		if b.Skipped != "" {
			t.Errorf("%s was skipped: %s", b.Name, b.Skipped)
		}
		for _, side := range b.Sides {
			if side.Value.N == 1 && side.Value.Median > 0 {
				continue
			}
			if side.Skipped != "" {
				t.Logf("%s, %s was not run: %s", b.Name, side.Name, side.Skipped)
				continue
			}
			report := t.Errorf
			if strings.HasPrefix(side.Name, "gVisor") && side.Failed() != "" {
				report = t.Logf // it stalls now and then
			}
			report("%s, %s: %+v, %s", b.Name, side.Name, side.Value, side.Failed())
		}
	}
}

func TestCore(t *testing.T) {
	r := tiny("core").all(t.Context(), groups())
	check(t, r, 3)
	if got := r.Benchmarks[0].Side(coreGVisor).Ratio; got.N != 1 {
		t.Errorf("no ratio to %s", coreGVisor)
	}
	if got := r.Benchmarks[0].Side("the harness alone").Ratio; got.N != 0 {
		t.Errorf("a ratio to the harness: %+v", got)
	}
}

func TestProfile(t *testing.T) {
	s := tiny("core-send")
	s.profile, s.profileAll = t.TempDir(), true
	short := profileWindow
	profileWindow = 300 * time.Millisecond
	defer func() { profileWindow = short }()
	b := s.all(t.Context(), groups()).Benchmarks[0]
	if b.Profile == nil || len(b.Profile.Top) == 0 || b.Profile.Seconds == 0 {
		t.Fatalf("%+v, %q", b.Profile, b.Notes)
	}
	if n := len(b.Side(ourName).Runs); n != 1 {
		t.Errorf("%d runs: the profiled one is not to count", n)
	}
	if gc := b.Side(coreGVisor).Runs[0].GC; gc == nil || gc.Heap == 0 {
		t.Errorf("collections of gVisor: %+v", gc)
	}
}

func requireLab(t *testing.T) {
	t.Helper()
	if err := netlab.Available(); err != nil {
		t.Skip("needs a network laboratory:", err)
	}
}

func TestOverVeth(t *testing.T) {
	requireLab(t)
	check(t, tiny("bulk", "requests", "connect", "check-requests", "softirq-requests", "raw-forward-64",
		"latency", "nethttp", "shards").all(t.Context(), groups()), 14)
	expectNothingLeft(t)
}

// The programs among the generators run for whole seconds.
func TestGenerators(t *testing.T) {
	requireLab(t)
	check(t, tiny("load-connect-1024", "load-schedule", "iperf3-send").all(t.Context(), groups()), 3)
	expectNothingLeft(t)
}

func TestGeneratedPackets(t *testing.T) {
	requireLab(t)
	check(t, tiny("gen-64", "gen-rate-10k").all(t.Context(), groups()), 2)
	expectNothingLeft(t)
}

func TestOverBadPaths(t *testing.T) {
	requireLab(t)
	r := tiny("loss-receive-1", "loss-send-1", "reno").all(t.Context(), groups())
	check(t, r, 4)
	for _, b := range r.Benchmarks {
		for _, side := range b.Sides {
			if lost, _ := side.Extra("hop_lost_from_client"); side.Value.N == 1 && lost.Median == 0 && b.Name == "loss-receive-1" {
				t.Errorf("%s, %s: the path lost nothing", b.Name, side.Name)
			}
		}
	}
	expectNothingLeft(t)
}

func TestExtrasAreRunByNameOnly(t *testing.T) {
	for _, args := range [][]string{nil, {"-only", "bbr"}} {
		o, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups() {
			for _, b := range g.benchmarks {
				if b.extra && o.wanted(&b) != (args != nil && strings.HasPrefix(b.name, "bbr")) {
					t.Errorf("%v: %s is wanted: %v", args, b.name, o.wanted(&b))
				}
			}
		}
	}
}

func TestStop(t *testing.T) {
	requireLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	s := tiny("bulk")
	s.times.window = time.Minute
	begin := time.Now()
	s.all(ctx, groups())
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("took %v to stop", d)
	}
	expectNothingLeft(t)
}

// expectNothingLeft looks for namespaces of this process.
func expectNothingLeft(t *testing.T) {
	t.Helper()
	left, _ := filepath.Glob("/var/run/netns/xs-bench-*")
	left = slices.DeleteFunc(left, func(n string) bool { return !strings.Contains(n, "-"+strconv.Itoa(os.Getpid())+"-") })
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

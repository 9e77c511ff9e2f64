package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/xdpstack/xdpstack/internal/vm/guest"
)

// TestSelectionIsTrue finds each test that the selection names in its package.
func TestSelectionIsTrue(t *testing.T) {
	all := slices.Clone(selection)
	for _, c := range configurations {
		if c.only.dir != "" {
			all = append(all, c.only)
		}
	}
	for _, s := range all {
		files, err := filepath.Glob(filepath.Join("../../..", s.dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", s.dir, len(files), err)
		}
		var have []string
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				if f, ok := d.(*ast.FuncDecl); ok {
					have = append(have, f.Name.Name)
				}
			}
		}
		for _, test := range slices.Concat(s.one, s.virtio, s.several) {
			if !slices.Contains(have, test) {
				t.Errorf("%s has no %s", s.dir, test)
			}
		}
	}
}

// TestPackages takes in what has tests for network cards, wherever it is.
func TestPackages(t *testing.T) {
	all, err := packages(fstest.MapFS{
		"afxdp/x_nic_test.go": {}, "internal/doctor/a_nic_test.go": {}, "internal/doctor/b_nic_test.go": {}, "stack/nic_test.go": {},
		"cmd/xdpstack/mode_nic_test.go": {}, ".git/c_nic_test.go": {}, "bin/d_nic_test.go": {},
	})
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, s := range all {
		dirs = append(dirs, s.dir)
	}
	if got := strings.Join(dirs, " "); got != "afxdp stack gen/receive bpf cmd/xdpstack internal/doctor" {
		t.Errorf("packages %s", got)
	}
}

func TestPatterns(t *testing.T) {
	s := selected{dir: "p", one: []string{"TestA"}, virtio: []string{"TestV"}, several: []string{"TestB"}, cards: true}
	for _, c := range []struct {
		config   configuration
		yes, not string
	}{
		{configuration{nic: "igb", queues: 1}, "TestA TestNIC TestNICUp", "TestB TestV TestAB TestNICPlainDMA TestNICBusyPoll"},
		{configuration{nic: "virtio", queues: 1}, "TestA TestV TestNICUp TestNICBusyPoll", "TestB TestNICPlainDMA"},
		{configuration{nic: "virtio", queues: 2}, "TestB TestNICTwoQueues", "TestA TestV TestNICUp"},
		{configuration{queues: 1, only: selected{dir: "p", one: []string{"TestNICPlainDMA"}}}, "TestNICPlainDMA", "TestA TestNICUp"},
	} {
		run, skip := s.patterns(c.config)
		runs := func(name string) bool {
			return regexp.MustCompile(run).MatchString(name) && (skip == "" || !regexp.MustCompile(skip).MatchString(name))
		}
		for _, name := range strings.Fields(c.yes) {
			if !runs(name) {
				t.Errorf("%+v: %s does not run", c.config, name)
			}
		}
		for _, name := range strings.Fields(c.not) {
			if runs(name) {
				t.Errorf("%+v: %s runs", c.config, name)
			}
		}
	}
	for _, c := range []configuration{{queues: 2}, {queues: 1, only: selected{dir: "q", one: []string{"TestA"}}}} {
		if run, _ := (selected{dir: "p", one: []string{"TestA"}}).patterns(c); run != "" {
			t.Errorf("%+v: runs %s", c, run)
		}
	}
}

// events runs f with a report and reads what it reports: "action package test", without output.
func events(t *testing.T, f func(*report)) (got []string, output string, failed bool) {
	t.Helper()
	var b bytes.Buffer
	r := &report{out: &b}
	f(r)
	for line := range strings.Lines(b.String()) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e.Action == "output" {
			output += e.Output
		} else {
			got = append(got, strings.TrimSpace(e.Action+" "+e.Package+" "+e.Test))
		}
	}
	return got, output, r.failed
}

func TestSkippedSuite(t *testing.T) {
	var b bytes.Buffer
	status, err := runSuite(t.Context(), []string{"-skip", "no root"}, &b, os.Stderr)
	if err != nil || status != 0 || strings.Count(b.String(), `"Action":"skip"`) != 2 || !strings.Contains(b.String(), "ZERO-COPY NOT TESTED: no root") {
		t.Errorf("%d, %v: %s", status, err, b.String())
	}
	if status, err := runSuite(t.Context(), []string{"-nic", "e1000"}, &b, os.Stderr); status != exitUsage || err == nil {
		t.Errorf("no guest has such cards: %d, %v", status, err)
	}
}

// TestStages has the reports of packages that pass, say nothing, hang, and that the end of the guest cuts off: a test that began
// and did not end then has failed for every reader of events.
func TestStages(t *testing.T) {
	const text = "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.01s)\n"
	for _, c := range []struct {
		name   string
		output string
		end    func(*stage)
		events []string
		says   string
		failed bool
	}{
		{"passes", text + "\x16PASS\n", func(st *stage) { st.ended(guest.Ended{}) },
			[]string{"start p", "run p TestA", "pass p TestA", "pass p"}, "", false},
		{"says nothing", "", func(st *stage) { st.ended(guest.Ended{Status: 137, Why: "killed"}) },
			[]string{"start p", "fail p"}, "exit status 137: killed", true},
		{"hangs", text, func(st *stage) { st.ended(guest.Ended{Status: 2, TimedOut: true}) },
			[]string{"start p", "run p TestA", "pass p TestA", "fail p"}, "it ran past 5m0s", true},
		{"cut off", "\x16=== RUN   TestA\n", func(st *stage) { st.abandon() },
			[]string{"start p", "run p TestA", "fail p"}, "the guest ended while these tests ran", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, output, failed := events(t, func(r *report) {
				st := &stage{report: r, pkg: "p"}
				if c.output != "" {
					if _, err := st.Write([]byte(c.output)); err != nil {
						t.Fatal(err)
					}
				}
				c.end(st)
				st.abandon() // as after each guest
				if st.err != nil {
					t.Fatal(st.err)
				}
			})
			if !slices.Equal(got, c.events) || !strings.Contains(output, c.says) || failed != c.failed {
				t.Errorf("%q, failed: %v, output %q", got, failed, output)
			}
		})
	}
}

func TestReportedTest(t *testing.T) {
	got, output, failed := events(t, func(r *report) {
		r.test("zerocopy/igb-1q", "TestGuest", "fail", "the guest did not start", time.Second)
	})
	want := []string{"start zerocopy/igb-1q", "run zerocopy/igb-1q TestGuest", "fail zerocopy/igb-1q TestGuest", "fail zerocopy/igb-1q"}
	if !slices.Equal(got, want) || output != "the guest did not start\n" || !failed {
		t.Errorf("%q, %q, %v", got, output, failed)
	}
}

// TestUsage has what is wrong with a command line told, and asks nothing of a guest.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"-h", 0, "Exit status"}, {"", exitUsage, "guest [flags]"}, {"-no-such-flag", exitUsage, "no-such-flag"},
		{"suite -h", 0, "as one skipped test"}, {"suite x", exitUsage, `["x"] is too much`},
	} {
		var b bytes.Buffer
		status, err := run(t.Context(), strings.Fields(c.args), &b, &b)
		if said := b.String(); status != c.status || !strings.Contains(said, c.says) && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q: %d, %v, %s", c.args, status, err, said)
		}
	}
}

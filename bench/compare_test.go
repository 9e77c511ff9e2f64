package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/compare"
	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// written stores a report in which our side has the given values.
func written(t *testing.T, name string, values ...float64) string {
	t.Helper()
	s := &result.Side{Name: ourName}
	for _, v := range values {
		s.Runs = append(s.Runs, result.Run{Value: v, Seconds: 1})
	}
	path := filepath.Join(t.TempDir(), name)
	r := &result.Report{
		Benchmarks: []*result.Benchmark{{Name: "http", Unit: "requests/s", Ours: ourName, Sides: []*result.Side{s}}},
		Conditions: []result.Condition{{Name: "kernel", Value: name}},
	}
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCompareExitCodes(t *testing.T) {
	fast, slow := written(t, "fast", 120, 121, 119, 122, 118), written(t, "slow", 100, 101, 99, 102, 98)
	for _, tt := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{fast, slow}, 0, "worse"},
		{[]string{"--fail-on-regression", fast, slow}, 1, "0.83×"},
		{[]string{"--fail-on-regression", slow, fast}, 0, "better"},
		{[]string{"--fail-on-regression", slow, slow}, 0, "same"},
		{[]string{slow, fast}, 0, `kernel was "slow" and is "fast"`},
		{[]string{fast}, 2, "two reports are needed"},
		{[]string{fast, "nowhere.json"}, 2, "nowhere.json"},
		{[]string{"-unknown", fast, slow}, 2, "-unknown"},
	} {
		var out, errs strings.Builder
		if code := runCompare(&out, &errs, tt.args); code != tt.code || !strings.Contains(out.String()+errs.String(), tt.out) {
			t.Errorf("%v: exit code %d, want %d, and %q in:\n%s%s", tt.args, code, tt.code, tt.out, out.String(), errs.String())
		}
	}
	damaged := filepath.Join(t.TempDir(), "damaged.json")
	if err := os.WriteFile(damaged, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	if code := runCompare(&out, &errs, []string{damaged, fast}); code != 2 {
		t.Errorf("a damaged report: exit code %d", code)
	}
}

func TestCompareJSON(t *testing.T) {
	var out, errs strings.Builder
	args := []string{"-json", written(t, "a", 1, 2, 3, 4, 5), written(t, "b", 11, 12, 13, 14, 15)}
	if code := runCompare(&out, &errs, args); code != 0 {
		t.Fatal(errs.String())
	}
	var rows []compare.Row
	if err := json.Unmarshal([]byte(out.String()), &rows); err != nil || len(rows) != 1 || rows[0].Verdict != compare.Better {
		t.Errorf("%+v, %v", rows, err)
	}
}

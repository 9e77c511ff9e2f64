package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/report"
	"github.com/xdpstack/xdpstack/load"
)

// someTotals are those of a worker that has done 1000 requests, each of which took so long.
func someTotals(t *testing.T, since time.Time, took time.Duration) report.Totals {
	t.Helper()
	h := hdrhistogram.New(1, int64(time.Minute), 3)
	if err := h.RecordValues(int64(took), 1000); err != nil {
		t.Fatal(err)
	}
	return report.Totals{Since: since, Elapsed: 2 * time.Second, CPU: report.CPU{User: time.Second},
		Counters: map[string]uint64{"started": 1010, "done": 1000}, Errors: map[string]uint64{"timeout": 10},
		Histograms: map[string]*hdrhistogram.Histogram{"total": h}}
}

func someHead() report.Result {
	return report.Result{Tool: "load", Main: "total", RateOf: "done", Setup: []report.Setting{{Name: "rate", Value: "1000/s"}}}
}

// resultFiles writes the files of some workers out of four.
func resultFiles(t *testing.T, workers ...int) (names []string) {
	t.Helper()
	start := time.Unix(1_800_000_000, 0)
	for _, n := range workers {
		head := someHead()
		head.Workers, head.Of = 4, []int{n}
		r := report.NewRecorder(head, start).End(start.Add(2*time.Second), someTotals(t, start, time.Duration(n+1)*time.Millisecond))
		name := filepath.Join(t.TempDir(), fmt.Sprintf("worker-%d.json", n))
		if err := r.WriteFile(name, nil); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestReportShow(t *testing.T) {
	file := resultFiles(t, 2)[0]
	html := filepath.Join(t.TempDir(), "page.html")
	code, out, errs := command(t.Context(), nil, "report", "show", file, "--html", html, "--expect", "p99<5ms,errors<1%")
	if code != exitOK || errs != "" {
		t.Errorf("exit code %d, %q", code, errs)
	}
	for _, want := range []string{"worker 2 of 4", "1,000 done, 500/s; 10 failed, 0.9901%", "rate: 1000/s", "0.50 processors", "timeout",
		"met      p99<5ms: expected below 5ms, measured 3.000319ms", "p99.99", "3ms"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if page, err := os.ReadFile(html); err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("%d bytes of page, %v", len(page), err)
	}
	code, out, errs = command(t.Context(), nil, "report", "show", file, "--json", "--expect", "p99<1ms,rate>1k")
	var r report.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailure || r.Counters["done"] != 1000 {
		t.Errorf("exit code %d, %v", code, err)
	}
	if strings.Count(errs, "NOT MET") != 2 || !strings.Contains(errs, "rate>1k: expected above 1000.0/s, measured 500.0/s") {
		t.Errorf("verdicts:\n%s", errs)
	}
	if code, _, errs := command(t.Context(), nil, "report", "show", file, "--expect", "p99<5ms,dns.p99<1ms"); code != exitUsage ||
		!strings.Contains(errs, "dns.p99<1ms\n            ^") {
		t.Errorf("a mistake: exit code %d\n%s", code, errs)
	}
	if code, _, errs := command(t.Context(), nil, "report", "show", "/none"); code != exitFailure || !strings.Contains(errs, "/none") {
		t.Errorf("no file: exit code %d, %s", code, errs)
	}
}

func TestReportMerge(t *testing.T) {
	files := resultFiles(t, 0, 1, 3)
	merged := filepath.Join(t.TempDir(), "all.json")
	code, out, errs := command(t.Context(), nil, append([]string{"report", "merge", "-o", merged}, files...)...)
	if code != exitOK || !strings.Contains(errs, "3 of 4 workers: the results of [2] are missing") || !strings.Contains(out, "3,000 done, 1,500/s") {
		t.Errorf("exit code %d, %q\n%s", code, errs, out)
	}
	if code, _, _ := command(t.Context(), nil, append([]string{"report", "merge", "--complete"}, files...)...); code != exitFailure {
		t.Errorf("incomplete: exit code %d", code)
	}
	code, out, errs = command(t.Context(), nil, "report", "merge", "--complete", merged, resultFiles(t, 2)[0])
	if code != exitOK || errs != "" || !strings.Contains(out, "4 workers") || !strings.Contains(out, "4,000 done, 2,000/s") {
		t.Errorf("the rest: exit code %d, %q\n%s", code, errs, out)
	}
	dir := filepath.Dir(files[1])
	html := filepath.Join(dir, "made", "all.html")
	code, out, errs = command(t.Context(), nil, "report", "merge", dir, files[0], "--html", html)
	if _, err := os.Stat(html); code != exitOK || err != nil || !strings.Contains(out, "2,000 done") {
		t.Errorf("a directory: exit code %d, %q, %v\n%s", code, errs, err, out)
	}
	if code, _, errs = command(t.Context(), nil, "report", "merge", filepath.Dir(html)); code != exitFailure || !strings.Contains(errs, "no .json") {
		t.Errorf("an empty directory: exit code %d, %q", code, errs)
	}
	code, _, errs = command(t.Context(), nil, "report", "merge", files[0], files[1], files[1])
	if code != exitFailure || !strings.Contains(errs, "number 1 of 4") || !strings.Contains(errs, files[1]) {
		t.Errorf("twice the same: exit code %d, %q", code, errs)
	}
}

func TestReportCompare(t *testing.T) {
	files := resultFiles(t, 0, 3)
	code, out, errs := command(t.Context(), nil, append([]string{"report", "compare"}, files...)...)
	if code != exitOK || errs != "" || !strings.Contains(out, "+300.0%") || !strings.Contains(out, "total p99") {
		t.Errorf("exit code %d, %q\n%s", code, errs, out)
	}
	code, out, _ = command(t.Context(), nil, "report", "compare", "--json", files[0], files[1])
	var c report.Comparison
	if err := json.Unmarshal([]byte(out), &c); code != exitOK || err != nil || !slices.ContainsFunc(c.Lines, func(l report.Compared) bool {
		return l.Name == "total p50" && l.A < 0.0011 && l.B > 0.0039
	}) {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

// prepared is what flags make of themselves; the summary goes to out, everything else to errs.
func prepared(t *testing.T, f resultFlags) (r *results, out, errs *output) {
	t.Helper()
	out, errs = &output{}, &output{}
	r, err := f.prepare(streams{out: out, err: errs}, report.Vocabulary{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r, out, errs
}

// A run of two seconds: lines, the page for Prometheus meanwhile, and the files and the verdict at the end.
func TestResultsFollow(t *testing.T) {
	dir := t.TempDir()
	flags := resultFlags{hdr: filepath.Join(dir, "a.hdr"), html: filepath.Join(dir, "a.html"), json: "-", prometheus: "0",
		expect: []string{"p99<5ms", "errors<0.1%"}, worker: "1/3"}
	r, out, errs := prepared(t, flags)
	// A run that begins just before a second ends has too short a first one for a line.
	since, done := time.Now().Add(-time.Second), make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			resp, err := http.Get("http://" + r.listener.Addr().String() + "/metrics")
			if err != nil {
				t.Error(err)
				return
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if strings.Contains(string(b), `xdpstack_load_done_total{worker="1"} 1000`) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("Prometheus saw no total")
	}()
	result := r.follow(source{head: someHead(), since: since, done: done, columns: []report.Column{{Name: "done", Title: "done/s", Second: true}},
		totals: func() report.Totals { return someTotals(t, since, time.Millisecond) }})
	if err := r.finish(result); !errors.Is(err, errReported) {
		t.Errorf("a run that fails an expectation ends with %v", err)
	}
	got, err := report.Read(strings.NewReader(out.String()))
	if err != nil || len(got.Outcomes) != 2 || !got.Outcomes[0].Met || got.Outcomes[1].Met {
		t.Fatalf("the verdicts in the JSON: %+v, %v", got, err)
	}
	if got.Counters["done"] != 1000 || got.Workers != 3 || got.Of[0] != 1 || len(got.Series) == 0 {
		t.Errorf("the JSON on standard output: %+v, %v", got, err)
	}
	for _, want := range []string{"done/s", "timeout 10", "http://127.0.0.1:", "met      p99<5ms", "NOT MET  errors<0.1%: expected below 0.1%, measured 0.9901%"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is missing in\n%s", want, errs)
		}
	}
	for _, name := range []string{flags.hdr, flags.html} {
		if info, err := os.Stat(name); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResultFlags(t *testing.T) {
	for _, c := range []struct {
		flags resultFlags
		says  string
	}{
		{resultFlags{expect: []string{"p99<5"}}, "--expect: p99 is compared with a time"},
		{resultFlags{worker: "4/4"}, "--worker"},
		{resultFlags{startAt: "2001-01-01T00:00:00Z"}, "ago"},
		{resultFlags{json: "-", hdr: "-"}, "cannot both"},
		{resultFlags{prometheus: "any"}, "--prometheus any: want a port"},
		{resultFlags{prometheus: "localhost:70000"}, "--prometheus localhost:70000: want a port"},
	} {
		_, err := c.flags.prepare(streams{}, report.Vocabulary{}, time.Now())
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.flags, err, c.says)
		}
	}
}

// Before the time to start there is no line, only word of it.
func TestResultsStartAt(t *testing.T) {
	start := time.Now().Add(300 * time.Millisecond).Truncate(time.Millisecond)
	r, out, errs := prepared(t, resultFlags{startAt: fmt.Sprintf("%.3f", float64(start.UnixMilli())/1000)})
	done := make(chan struct{})
	time.AfterFunc(time.Until(report.NextTick(start).Add(200*time.Millisecond)), func() { close(done) })
	result := r.follow(source{head: someHead(), since: start, done: done, columns: []report.Column{{Name: "done", Title: "done/s", Second: true}},
		totals: func() report.Totals { return someTotals(t, start, time.Millisecond) }})
	if !strings.HasPrefix(errs.String(), "waiting until 20") || strings.Count(out.String(), "\n") != 2 || len(result.Series) != 2 {
		t.Errorf("%q, %d entries, lines\n%s", errs, len(result.Series), out)
	}
}

// Each counter that load has for Prometheus is explained.
func TestLoadHelp(t *testing.T) {
	help := loadHelp()
	totals := loadTotals(load.Snapshot{})
	for name := range totals.Counters {
		if help[name] == "" && !strings.HasPrefix(name, "status_") {
			t.Errorf("%s is not explained", name)
		}
	}
	for name := range totals.TCP {
		if help["tcp_"+name] == "" {
			t.Errorf("tcp_%s is not explained", name)
		}
	}
}

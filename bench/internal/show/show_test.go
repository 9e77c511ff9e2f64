package show

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.6312: "0.631", 7.261: "7.26", 63.25: "63.2", 632.5: "632", 5300: "5,300", 204999.6: "205,000", 1234567: "1,234,567",
		-1234: "-1,234", 999.9: "1000",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func report() *result.Report {
	run := func(v float64) result.Run {
		return result.Run{Value: v, Seconds: 2, Server: result.CPU{Process: 1, Core: 2}, Client: result.CPU{Process: 0.5, Core: 1}, Busy: 3}
	}
	r := &result.Report{
		Conditions: []result.Condition{{Name: "kernel", Value: "6.18"}},
		Benchmarks: []*result.Benchmark{
			{
				Name: "bulk-receive", Title: "bulk, kernel → stack", Unit: "Gbit/s", Ours: "xdpstack",
				Targets: []result.Target{{Against: "gVisor AF_XDP", AtLeast: 2}},
				Sides: []*result.Side{
					{Name: "xdpstack", Runs: []result.Run{run(6), run(6.2), run(5.8)}},
					{Name: "gVisor AF_XDP", Runs: []result.Run{run(2.5), run(2.4), {Failed: "stalled"}}, Notes: []string{"a note"}},
					{Name: "gVisor AF_PACKET", Skipped: "no AF_PACKET here"},
					{Name: "kernel", Runs: []result.Run{{Failed: "no answer"}}},
				},
			},
			{Name: "http", Title: "HTTP", Unit: "requests/s", Skipped: "needs root: network namespaces"},
		},
	}
	for _, b := range r.Benchmarks {
		b.Finish()
		b.Judge()
	}
	return r
}

func TestTable(t *testing.T) {
	var b strings.Builder
	Table(&b, report())
	out := b.String()
	for _, want := range []string{
		"bulk, kernel → stack,", "6.00 (5.80 … 6.20)", "2.49× (2.40 … 2.58)", "target ≥ 2× gVisor AF_XDP: met", "a note",
		"runs failed: stalled", "no AF_PACKET here", "no answer", "needs root: network namespaces", "0.50 / 1.00", "kernel  6.18",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	Markdown(&b, report())
	lines := strings.Split(b.String(), "\n")
	if !strings.HasPrefix(lines[0], "| benchmark | side |") || !strings.Contains(b.String(), "\n- ") {
		t.Errorf("no table with conditions:\n%s", b.String())
	}
}

func TestChart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results", "bench.svg")
	if err := Chart(path, report()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(strings.NewReader(string(b)))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
	for _, want := range []string{"xdpstack", "gVisor AF_XDP", "bulk, kernel → stack, Gbit/s"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the chart lacks %q", want)
		}
	}
	if err := Chart(path, &result.Report{}); !errors.Is(err, ErrNothing) {
		t.Errorf("an empty report: %v", err)
	}
}

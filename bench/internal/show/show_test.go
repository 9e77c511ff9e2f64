package show

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
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

func TestLinks(t *testing.T) {
	side := func(name, link string) *result.Side { return &result.Side{Name: name, Link: link} }
	r := &result.Report{Benchmarks: []*result.Benchmark{
		{Name: "a", Sides: []*result.Side{side("ours", "MTU 1500"), side("peer", "MTU 1500"), side("absent", "")}},
		{Name: "b", Sides: []*result.Side{side("ours", "MTU 9000"), side("peer", "MTU 9000, TSO on")}},
		{Name: "c", Sides: []*result.Side{side("ours", "MTU 1500")}},
	}}
	want := []string{"link of a; c: MTU 1500", "link of b (ours): MTU 9000", "link of b (peer): MTU 9000, TSO on"}
	if got := links(r); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
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

func TestSummary(t *testing.T) {
	r := report()
	r.Benchmarks[0].Row = "10"
	r.Benchmarks[1].Row, r.Benchmarks[1].Targets = "6b", []result.Target{{Against: "kernel", AtLeast: 1}}
	slow := &result.Benchmark{
		Name: "slow", Row: "6", Ours: "xdpstack", Unit: "Gbit/s", Profile: &result.Profile{Top: []result.Function{{Name: "copy", Share: 0.5}}},
		Targets: []result.Target{{Against: "kernel", AtLeast: 2, Bound: "the copy"}},
		Sides:   []*result.Side{{Name: "xdpstack", Runs: []result.Run{{Value: 3}}}, {Name: "kernel", Runs: []result.Run{{Value: 3}}}},
	}
	slow.Finish()
	slow.Judge()
	r.Benchmarks[1].Judge()
	r.Benchmarks = append(r.Benchmarks, slow)
	var b strings.Builder
	Summary(&b, r)
	out := b.String()
	at := 0
	for _, want := range []string{
		"│ 6 ", "1.00×", "not met", "bounded by the copy; busiest: copy 50 %", "│ 6b", "not measured", "needs root", "│ 10 ", "2.49×", "met",
		"1 of 3 targets met, 1 not met, 1 not measured.",
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("the summary lacks %q, or has it too early:\n%s", want, out)
		}
		at += i
	}
}

func TestPageNeedsNothingBesideIt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bench.html")
	r := report()
	r.Benchmarks[0].Sides[0].Setup = `<script>alert("a setup")</script>`
	r.Benchmarks[0].Profile = &result.Profile{
		File: filepath.Join(dir, "profiles", "bulk-receive.pprof"), Seconds: 5, Top: []result.Function{{Name: "tcp.(*Conn).Input", Share: 0.125}},
	}
	if err := HTML(path, r); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := string(page)
	for _, want := range []string{
		"<svg", `href="profiles/bulk-receive.pprof"`, "tcp.(*Conn).Input", "12.5", "6.00 (5.80 … 6.20)", "needs root: network namespaces",
		`class="verdict met"`, "failed: stalled",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "<link", "src=", "@import", "url(", `href="http`} {
		if strings.Contains(out, never) {
			t.Errorf("the page has %q", never)
		}
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

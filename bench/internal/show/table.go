package show

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// Table writes the report's table, with the conditions and the notes below.
func Table(w io.Writer, r *result.Report) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateRows = false
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{
		"benchmark", "side", "median (spread)", "xdpstack is", "server CPU", "client CPU", "per CPU s", "GC", "remarks",
	})
	right := table.ColumnConfig{Align: text.AlignRight}
	columns := []table.ColumnConfig{
		{Number: 1, WidthMax: 24, WidthMaxEnforcer: text.WrapSoft}, {Number: 9, WidthMax: 44, WidthMaxEnforcer: text.WrapSoft},
	}
	for _, n := range []int{3, 4, 5, 6, 7, 8} {
		c := right
		c.Number = n
		columns = append(columns, c)
	}
	t.SetColumnConfigs(columns)
	for i, b := range r.Benchmarks {
		if i > 0 {
			t.AppendSeparator()
		}
		appendBenchmark(t, b)
	}
	t.Render()
	footer(w, r)
	Summary(w, r)
}

// Markdown writes the report as the README has it: the table without the remarks, then the conditions.
func Markdown(w io.Writer, r *result.Report) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.AppendHeader(table.Row{"benchmark", "side", "median (spread)", "xdpstack is", "server CPU", "client CPU"})
	for _, b := range r.Benchmarks {
		title := b.Title + ", " + b.Unit
		for _, s := range b.Sides {
			t.AppendRow(sideRow(title, b, s)[:6])
			title = ""
		}
	}
	t.RenderMarkdown()
	fmt.Fprintln(w)
	for _, c := range r.Conditions {
		fmt.Fprintf(w, "- %s: %s\n", c.Name, c.Value)
	}
}

func appendBenchmark(t table.Writer, b *result.Benchmark) {
	title := b.Title + ", " + b.Unit
	if b.Skipped != "" {
		t.AppendRow(table.Row{title, "not run", "", "", "", "", "", "", b.Skipped})
		return
	}
	for _, s := range b.Sides {
		t.AppendRow(sideRow(title, b, s))
		title = ""
	}
}

func sideRow(title string, b *result.Benchmark, s *result.Side) table.Row {
	if s.Skipped != "" {
		return table.Row{title, s.Name, "not run", "", "", "", "", "", s.Skipped}
	}
	if len(s.Runs) == 0 {
		return table.Row{title, s.Name, "not run", "", "", "", "", "", ""}
	}
	if s.Value.N == 0 {
		return table.Row{title, s.Name, "failed", "", "", "", "", "", s.Failed()}
	}
	said := verdicts(b, s)
	if s.NetRatio.N > 0 {
		said = append(said, fmt.Sprintf("less %s: %.2f×", b.Overhead, s.NetRatio.Median))
	}
	said = append(said, remarks(s)...)
	efficiency := ""
	if v, ok := perCPU(s); ok {
		efficiency = number(v.Median)
	}
	return table.Row{
		title, s.Name, value(s.Value), ratio(s.Ratio),
		cpu(s, func(r result.Run) result.CPU { return r.Server }), cpu(s, func(r result.Run) result.CPU { return r.Client }),
		efficiency, collections(s), strings.Join(said, ", "),
	}
}

// extras are further figures that are worth a remark.
var extras = []struct{ name, format string }{
	{"p50 µs", "p50 %s µs"}, {"p99 µs", "p99 %s µs"}, {"p99.9 µs", "p99.9 %s µs"}, {"allocations", "%s allocations"},
	{"per server CPU s", "%s per server CPU s"}, {"of limit %", "%s %% of the limit"},
	{"CPU ns/frame", "CPU %s ns/frame"}, {"both ends' CPU ns/frame", "both ends' %s ns/frame"},
	{"process ns/frame", "process %s ns/frame"}, {"frames/kick", "%s frames/kick"},
	{"M/sender CPU s", "%s M per sender's CPU s"},
	{"SYNs sent/s", "%s SYNs/s sent"}, {"SYNs/s", "%s SYNs/s came"}, {"ring full %", "ring full for %s %%"},
	{"answers lost %", "%s %% of answers lost"}, {"visits", "%s visits"}, {"succeeded %", "%s %% succeeded"},
	{"calm p50 µs", "calm p50 %s µs"}, {"calm p99 µs", "calm p99 %s µs"},
	{"flooded p50 µs", "flooded p50 %s µs"}, {"flooded/calm p99", "p99 %s times the calm one"},
	{"packets/SYN", "%s packets/SYN to the process"}, {"process ns/SYN", "process %s ns/SYN more than calm"},
	{"calm server CPU", "calm server CPU %s"}, {"RSS growth MiB", "RSS grew by %s MiB"},
	{"throughput %", "costs %s %% of the requests"}, {"CPU ms/look", "%s ms a look"}, {"KiB/look", "of %s KiB"}, {"looks/s", "%s looks/s"},
	{"requests/s", "%s requests/s"}, {"CPU µs/request", "%s µs a request"}, {"watched µs/request", "%s µs watched"},
	{"rate error %", "rate off by %s %%"}, {"missed %", "%s %% missed"},
	{"late p50 µs", "late p50 %s µs"}, {"late p99 µs", "p99 %s µs"}, {"late p99.9 µs", "p99.9 %s µs"},
	{"sleeps/packet", "%s sleeps/packet"},
	{"offered Mpps", "offered %s Mpps"}, {"delivered Mpps", "delivered %s Mpps"}, {"missed by card", "%s missed by the card"},
}

// remarks says what else there is to say about a side.
func remarks(s *result.Side) []string {
	said := slices.Clone(s.Notes)
	if s.Skipped != "" {
		return append(said, s.Skipped)
	}
	if s.ClientBound {
		said = append(said, "client-bound: proves nothing")
	}
	for _, f := range extras {
		if v, ok := s.Extra(f.name); ok {
			said = append(said, fmt.Sprintf(f.format, small(v.Median)))
		}
	}
	if n := len(s.Runs) - s.Value.N; n > 0 {
		said = append(said, fmt.Sprintf("%d of %d runs failed: %s", n, len(s.Runs), s.Failed()))
	}
	return said
}

// verdicts are those of the targets that this side decided, or is about if they need no peer.
func verdicts(b *result.Benchmark, s *result.Side) []string {
	var v []string
	for i := range b.Targets {
		t := &b.Targets[i]
		of := t.Side
		if of == "" {
			of = b.Ours
		}
		if t.Decided == s.Name || t.Decided == "" && of == s.Name {
			v = append(v, fmt.Sprintf("target %s: %s", t, t.Verdict))
		}
	}
	return v
}

func footer(w io.Writer, r *result.Report) {
	if r.Stopped {
		fmt.Fprintln(w, "Stopped before the end: what is missing was not run.")
	}
	if r.Quick {
		fmt.Fprintln(w, "A quick run: short windows and few repeats. Do not quote these numbers.")
	}
	fmt.Fprintln(w, "Medians with the extremes of the repeats; \"xdpstack is\" is above one when xdpstack is better, repeat by repeat.")
	fmt.Fprintln(w, "GC: cycles of the server's collector in a run / for how long it stopped the process at most.")
	fmt.Fprintln(w, "CPU: processor seconds per second, of the process + of the kernel threads that receive for it, where there are any "+
		"/ of the processor they are bound to, interrupts included.")
	for _, b := range r.Benchmarks {
		for _, n := range b.Notes {
			fmt.Fprintf(w, "%s: %s\n", b.Title, n)
		}
	}
	width := 0
	for _, c := range r.Conditions {
		width = max(width, len(c.Name))
	}
	for _, c := range r.Conditions {
		fmt.Fprintf(w, "  %-*s  %s\n", width, c.Name, c.Value)
	}
	for _, l := range links(r) {
		fmt.Fprintln(w, "  "+l)
	}
	fmt.Fprintf(w, "Took %v.\n", r.Took.Round(time.Second))
}

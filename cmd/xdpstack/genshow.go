package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/report"
)

// Names in the results of gen.
const (
	histLate     = "lateness"
	histDistance = "distance_error"
)

// genFailures are the counters of what did not leave.
var genFailures = map[string]bool{"dropped": true, "unfinished": true, "malformed": true, "lost": true}

// follow runs the engine, prints a line each second, and at the end the summary.
func (g *genCommand) follow(ctx context.Context, e *engine.Engine, iface *afxdp.Interface) (*engine.Result, error) {
	g.announce(iface)
	type outcome struct {
		*engine.Result
		error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := e.Run(ctx)
		done <- outcome{r, err}
	}()
	started := time.Now()
	before, cpu := engine.Snapshot{Lateness: hdrhistogram.New(1, 2, 1)}, processTime()
	totals := func(t *engine.Totals, late, distances *hdrhistogram.Histogram) report.Totals {
		out := genTotals(t, late, distances)
		out.CPU.User, out.CPU.System = out.CPU.User-cpu.User, out.CPU.System-cpu.System
		if g.back.roundTrip {
			g.back.result = g.back.recorder.Report()
			addMeasured(&out, &g.back.result, "back")
		}
		return out
	}
	var recorder *report.Recorder
	for lines := 0; ; lines++ {
		timer := time.NewTimer(time.Until(report.NextTick(time.Now())))
		select {
		case <-timer.C:
			s := e.Snapshot()
			now := time.Now()
			if recorder == nil && !s.Warm {
				before.Counters = engine.Counters{}
				recorder = g.record(now.Add(-s.Elapsed))
			}
			sum := totals(&s.Totals, s.Lateness, nil)
			g.line(lines, now, started, &s, &before)
			if recorder != nil {
				recorder.Tick(now, sum)
			}
			before = s
		case r := <-done:
			timer.Stop()
			if r.Result == nil {
				return nil, r.error
			}
			if recorder == nil {
				recorder = g.record(time.Now().Add(-r.Elapsed))
			}
			at, last := time.Now(), totals(&r.Totals, r.Lateness, r.Distances)
			return r.Result, errors.Join(r.error, g.summary(r.Result, recorder.End(at, g.back.settle(last, r.Result, g.pace.warmUp))))
		}
	}
}

// announce says what is about to happen.
func (g *genCommand) announce(iface *afxdp.Interface) {
	if g.asJSON {
		return
	}
	way := g.source.way
	to := "as the templates say"
	if !way.MAC.IsZero() {
		to = fmt.Sprintf("%v (%s)", way.MAC, way.How)
		if way.Hop.IsValid() {
			to = fmt.Sprintf("%v, %v by %s", way.MAC, way.Hop, way.How)
		}
	}
	fmt.Fprintf(g.out, "%s\nto %s, at %s\n", iface.Describe(), to, g.speed())
	if why := iface.Queues()[0].Mode().NoZeroCopy; why != nil {
		fmt.Fprintf(g.err, "xdpstack: no zero-copy: %v\n", why)
	}
}

// speed says how fast the packets leave.
func (g *genCommand) speed() string {
	if g.source.replay.capture != nil {
		if text := g.source.replay.describe(); text != "" {
			return text
		}
	}
	return g.pace.describe()
}

// what says what is sent.
func (g *genCommand) what() string {
	return cmp.Or(g.source.profile, g.source.replay.file, strings.Join(g.source.templates, " "))
}

// line prints what a second has brought.
func (g *genCommand) line(n int, now, started time.Time, s, before *engine.Snapshot) {
	if g.asJSON {
		return
	}
	if n%20 == 0 {
		fmt.Fprintf(g.out, "%7s %14s %13s %13s %10s %10s %10s\n", "time", "packets/s", "Mbit/s L2", "Mbit/s L1", "missed", "dropped",
			"late p99")
	}
	span := s.Elapsed - before.Elapsed
	if s.Warm || before.Warm || n == 0 {
		span = min(now.Sub(started), time.Second)
	}
	d := engine.Totals{Counters: s.Since(before.Counters), Elapsed: span}
	late, remark := "-", ""
	if h := sinceBefore(s.Lateness, before.Lateness); h.TotalCount() > 0 {
		late = report.FormatDuration(time.Duration(h.ValueAtPercentile(99)))
	}
	if s.Warm {
		remark = "  warm-up"
	}
	if d.LinkDown > 0 {
		remark += "  link down"
	}
	if g.back.roundTrip {
		remark += g.back.remark()
	}
	fmt.Fprintf(g.out, "%6.1fs %14s %13.2f %13.2f %10s %10s %10s%s\n", now.Sub(started).Seconds(), grouped(d.PPS()),
		d.BPS(rate.L2)/1e6, d.BPS(rate.L1)/1e6, grouped(float64(d.Lost)), grouped(float64(d.Dropped)), late, remark)
}

// sinceBefore returns what a histogram has that it had not before.
func sinceBefore(h, before *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	now, was := h.Export(), before.Export()
	for i := range was.Counts {
		if i < len(now.Counts) {
			now.Counts[i] -= was.Counts[i]
		}
	}
	return hdrhistogram.Import(now)
}

// grouped writes a whole number with commas between thousands.
func grouped(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// record begins the result.
func (g *genCommand) record(start time.Time) *report.Recorder {
	head := report.Result{
		Tool: "gen", Version: readVersion().Version, Command: os.Args, Main: histLate, RateOf: "packets",
		Setup: []report.Setting{
			{Name: "packets", Value: g.what()}, {Name: "rate", Value: g.speed()},
			{Name: "queues", Value: fmt.Sprint(len(g.queues))},
		},
	}
	return report.NewRecorder(head, start)
}

// genTotals are the totals as the report has them.
func genTotals(t *engine.Totals, late, distances *hdrhistogram.Histogram) report.Totals {
	out := report.Totals{
		Counters: make(map[string]uint64), Errors: make(map[string]uint64), CPU: processTime(),
		Histograms: map[string]*hdrhistogram.Histogram{histLate: late},
	}
	metrics.Walk("", &t.Counters, func(m metrics.Metric) {
		if genFailures[m.Name] {
			out.Errors[m.Name] = m.Value
		} else {
			out.Counters[m.Name] = m.Value
		}
	})
	if distances != nil && distances.TotalCount() > 0 {
		out.Histograms[histDistance] = distances
	}
	return out
}

// processTime is the processor time of this process. What the kernel does for it in interrupts is not in it.
func processTime() report.CPU {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return report.CPU{}
	}
	return report.CPU{User: time.Duration(r.Utime.Nano()), System: time.Duration(r.Stime.Nano())}
}

// missedShare is the share of the packets that were to leave and did not.
func missedShare(r *engine.Result) float64 {
	wanted := r.Packets + r.Lost + r.Malformed
	if wanted == 0 {
		return 0
	}
	return 1 - float64(r.Left())/float64(wanted)
}

// summary prints what was done.
func (g *genCommand) summary(r *engine.Result, result *report.Result) error {
	var err error
	if g.hdr != "" {
		err = result.WriteHDRFile(g.hdr, g.out)
	}
	if g.back.roundTrip {
		result.Notes = append(result.Notes, g.back.notes()...)
	}
	if g.asJSON {
		return errors.Join(err, result.Write(g.out))
	}
	fmt.Fprintln(g.out)
	t := newTable(g.out, nil, 2)
	row := func(name, value, remark string) { t.AppendRow(table.Row{name, value, remark}) }
	row("sent", grouped(float64(r.Packets)), fmt.Sprintf("packets in %.4g s", r.Elapsed.Seconds()))
	row("rate", grouped(r.PPS()), "packets/s")
	row("", fmt.Sprintf("%.2f", r.BPS(rate.L2)/1e6), "Mbit/s of L2: frames with FCS")
	row("", fmt.Sprintf("%.2f", r.BPS(rate.L1)/1e6), "Mbit/s of L1: with preamble and gap")
	if g.pace.bits > 0 {
		row("", fmt.Sprintf("%.1f%%", r.BPS(rate.L1)/g.pace.bits*100), "of the line")
	}
	if cpu := result.CPU.Total().Seconds(); cpu > 0 {
		row("CPU", fmt.Sprintf("%.2f", cpu), fmt.Sprintf("s of this process: %s packets per CPU second", grouped(float64(r.Packets)/cpu)))
	}
	metrics.Walk("", &r.Counters, func(m metrics.Metric) {
		if m.Value > 0 && (genFailures[m.Name] || m.Name == "link_down" || m.Name == "ring_full" || m.Name == "no_memory") {
			row(strings.ReplaceAll(m.Name, "_", " "), grouped(float64(m.Value)), m.Help)
		}
	})
	percentiles(row, "late", r.Lateness, "handed over after its time")
	percentiles(row, "jitter", r.Distances, "distance between sampled packets, beside the schedule's")
	if r.Slipped > 0 {
		row("slipped", report.FormatDuration(r.Slipped), "by which the replay was put off")
	}
	t.Render()
	if g.back.roundTrip {
		fmt.Fprintln(g.out, "\nwhat came back:")
		tellMeasured(g.streams, &g.back.result, result.Notes, r.Elapsed, "there and back")
	}
	return err
}

func percentiles(row func(name, value, remark string), name string, h *hdrhistogram.Histogram, what string) {
	if h.TotalCount() == 0 {
		return
	}
	for _, p := range []float64{50, 99, 99.9, 100} {
		label := fmt.Sprintf("p%g", p)
		if p == 100 {
			label = "max"
		}
		row(name, report.FormatDuration(time.Duration(h.ValueAtPercentile(p))), label+": "+what)
		name = ""
	}
}

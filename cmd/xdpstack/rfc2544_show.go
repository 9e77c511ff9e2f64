package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/xdpstack/xdpstack/gen/rfc2544"
)

// writeRFC2544 writes the report as RFC 2544 section 26 wants it: a table for each test, with the medium's theoretical rates.
func writeRFC2544(w io.Writer, r *rfc2544.Report) {
	writeThroughput(w, r)
	writeLatency(w, r)
	writeLoss(w, r)
	writeBursts(w, r)
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Skipped != "" {
			fmt.Fprintf(w, "frames of %v bytes: not measured: %s\n", row.Size, row.Skipped)
		}
		if row.Sender > 0 {
			fmt.Fprintf(w, "frames of %v bytes: this machine sends %s a second at most: no higher rate was tried\n", row.Size,
				count(row.Sender))
		}
		for _, why := range row.Failed {
			fmt.Fprintf(w, "frames of %v bytes: %s\n", row.Size, why)
		}
	}
	fmt.Fprintf(w, "\n%d trials in %v. UDP over IPv4, one direction; the medium carries %s.\n", r.Trials, r.Took.Round(time.Second),
		bitRate(r.Line))
	if len(r.Deviations) == 0 {
		fmt.Fprintln(w, "Times and numbers are those of RFC 2544.")
		return
	}
	fmt.Fprintln(w, "This is not RFC 2544 to the letter (--standard is):")
	for _, d := range r.Deviations {
		fmt.Fprintln(w, "  -", d)
	}
}

// section begins a table.
func section(w io.Writer, title string, header table.Row, right ...int) table.Writer {
	fmt.Fprintf(w, "\n%s\n\n", title)
	return newTable(w, header, right...)
}

func writeThroughput(w io.Writer, r *rfc2544.Report) {
	var t table.Writer
	for i := range r.Rows {
		for _, x := range r.Rows[i].Throughput {
			if t == nil {
				t = section(w, "Throughput (section 26.1): the highest rate that is borne",
					table.Row{"size", "medium, frames/s", "goal", "frames/s", "on the medium", "of it", "between", "and", ""},
					1, 2, 4, 5, 6, 7, 8)
			}
			t.AppendRow(table.Row{r.Rows[i].Size, count(r.Rows[i].Line), goal(&x), count(x.Rate), bitRate(x.Bits), percent(x.Share),
				count(x.Lower), bound(x.Upper), x.Note})
		}
	}
	render(t)
}

func goal(x *rfc2544.Rate) string {
	if x.Loss > 0 {
		return fmt.Sprintf("%s (%s lost)", x.Goal, percent(x.Loss))
	}
	return x.Goal
}

func writeLatency(w io.Writer, r *rfc2544.Report) {
	var t table.Writer
	for i := range r.Rows {
		l := r.Rows[i].Latency
		if l == nil {
			continue
		}
		if t == nil {
			t = section(w, "Latency at the throughput (section 26.2), from one program to the other",
				table.Row{"size", "at frames/s", "trials", "mean", "min", "p50", "p99", "p99.9", "max", "lost"},
				1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		}
		t.AppendRow(table.Row{r.Rows[i].Size, count(l.Rate), l.Trials, micros(int64(l.Mean)), micros(l.Min), micros(l.P50), micros(l.P99),
			micros(l.P999), micros(l.Max), l.Lost})
	}
	render(t)
}

func writeLoss(w io.Writer, r *rfc2544.Report) {
	var t table.Writer
	for i := range r.Rows {
		for k, p := range r.Rows[i].Loss {
			if t == nil {
				t = section(w, "Frame loss rate (section 26.3)",
					table.Row{"size", "rate", "frames/s", "sent/s", "sent", "received", "lost", ""}, 1, 2, 3, 4, 5, 6, 7)
			}
			var size, note any = "", ""
			if k == 0 {
				size = r.Rows[i].Size
			}
			if p.Short {
				note = "the sender fell short"
			}
			t.AppendRow(table.Row{size, percent(p.Share), count(p.Rate), count(p.Offered), p.Sent, p.Received, percent(p.Loss), note})
		}
	}
	render(t)
}

func writeBursts(w io.Writer, r *rfc2544.Report) {
	var t table.Writer
	for i := range r.Rows {
		b := r.Rows[i].Burst
		if b == nil {
			continue
		}
		if t == nil {
			t = section(w, "Back-to-back frames (section 26.4, RFC 9004): the longest burst without loss",
				table.Row{"size", "searches", "mean", "min", "max", "deviation", "buffer", "corrected", ""}, 1, 2, 3, 4, 5, 6, 7, 8)
		}
		buffer, corrected := "", ""
		if b.Implied > 0 {
			buffer = micros(int64(b.Implied))
		}
		if b.Corrected > 0 {
			corrected = micros(int64(b.Corrected))
		}
		t.AppendRow(table.Row{r.Rows[i].Size, b.Searches, count(b.Mean), b.Min, b.Max, strconv.FormatFloat(b.Deviation, 'f', 1, 64), buffer,
			corrected, b.Note})
	}
	render(t)
}

func render(t table.Writer) {
	if t != nil {
		t.Render()
	}
}

func count(x float64) string   { return strconv.FormatFloat(x, 'f', 0, 64) }
func percent(x float64) string { return strconv.FormatFloat(x*100, 'g', 4, 64) + "%" }
func micros(ns int64) string   { return strconv.FormatFloat(float64(ns)/1e3, 'f', 1, 64) + "µs" }

func bound(x float64) string {
	if x == 0 {
		return "–"
	}
	return count(x)
}

// bitRate writes bits a second with a decimal unit.
func bitRate(x float64) string {
	for _, u := range []struct {
		unit string
		size float64
	}{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}} {
		if x >= u.size {
			return strconv.FormatFloat(x/u.size, 'f', 2, 64) + " " + u.unit
		}
	}
	return count(x) + " bit/s"
}

// writeRFC2544CSV writes a line for each value of the report, in SI units, for spreadsheets.
func writeRFC2544CSV(w io.Writer, r *rfc2544.Report) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"test", "size", "goal_or_rate", "quantity", "value", "note"}) // the error is told by Error
	f := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for i := range r.Rows {
		row := &r.Rows[i]
		put := func(test rfc2544.Test, what, quantity string, value float64, note string) {
			_ = out.Write([]string{string(test), row.Size.String(), what, quantity, f(value), note})
		}
		for _, x := range row.Throughput {
			put(rfc2544.Throughput, x.Goal, "frames_per_second", x.Rate, x.Note)
			put(rfc2544.Throughput, x.Goal, "lower_bound", x.Lower, "")
			put(rfc2544.Throughput, x.Goal, "upper_bound", x.Upper, "")
			put(rfc2544.Throughput, x.Goal, "bits_per_second", x.Bits, "")
			put(rfc2544.Throughput, x.Goal, "share_of_line", x.Share, "")
		}
		if l := row.Latency; l != nil {
			at := f(l.Rate)
			put(rfc2544.Latency, at, "mean_seconds", l.Mean/1e9, "")
			for _, q := range []struct {
				name string
				ns   int64
			}{{"min", l.Min}, {"p50", l.P50}, {"p99", l.P99}, {"p99.9", l.P999}, {"max", l.Max}} {
				put(rfc2544.Latency, at, q.name+"_seconds", float64(q.ns)/1e9, "")
			}
		}
		for _, p := range row.Loss {
			note := ""
			if p.Short {
				note = "the sender fell short"
			}
			put(rfc2544.Loss, f(p.Rate), "loss_ratio", p.Loss, note)
			put(rfc2544.Loss, f(p.Rate), "offered_frames_per_second", p.Offered, "")
		}
		if b := row.Burst; b != nil {
			put(rfc2544.BackToBack, "", "mean_frames", b.Mean, b.Note)
			put(rfc2544.BackToBack, "", "standard_deviation", b.Deviation, "")
			put(rfc2544.BackToBack, "", "implied_buffer_seconds", b.Implied.Seconds(), "")
			put(rfc2544.BackToBack, "", "corrected_buffer_seconds", b.Corrected.Seconds(), "")
		}
		if row.Sender > 0 {
			put("sender", "", "frames_per_second", row.Sender, "the sender does not reach the highest rate")
		}
		for _, why := range append(row.Failed, row.Skipped) {
			if why != "" {
				_ = out.Write([]string{"", row.Size.String(), "", "", "", why})
			}
		}
	}
	for _, d := range r.Deviations {
		_ = out.Write([]string{"", "", "", "", "", "deviates from RFC 2544: " + d})
	}
	out.Flush()
	return out.Error()
}

// trialProgress shows how far a run of trials is: one bar on a terminal, a line now and then elsewhere.
type trialProgress struct {
	w     io.Writer
	bars  *mpb.Progress
	bar   *mpb.Bar
	text  atomic.Pointer[string]
	moves counter      // moves the bar while a trial goes on: its number is the time spent before it, in ns
	since atomic.Int64 // when that was, in ns of Unix time
	total atomic.Int64 // ns; a bar that reaches it goes away
	shown time.Time
}

func newTrialProgress(w io.Writer) *trialProgress {
	p := &trialProgress{w: w}
	p.text.Store(new(string))
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(32))
		p.bar = p.bars.AddBar(0, mpb.BarRemoveOnComplete(), // its length changes as the estimate does
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return *p.text.Load() })))
		p.since.Store(time.Now().UnixNano())
		p.moves.every(barRefresh, func(spent int64) {
			p.bar.SetCurrent(max(0, min(spent+time.Now().UnixNano()-p.since.Load(), p.total.Load()-1)))
		})
	}
	return p
}

// event shows one.
func (p *trialProgress) event(e rfc2544.Event) {
	text := fmt.Sprintf("%-12s %4v %-9s %s", e.Test, e.Size, e.Step, describeTrial(&e))
	left := fmt.Sprintf("about %v left", e.Remaining.Round(time.Second))
	if p.bar != nil {
		text = left + "  " + text
		p.text.Store(&text)
		p.total.Store(int64(e.Spent + e.Remaining + time.Second))
		p.bar.SetTotal(p.total.Load(), false)
		p.moves.n.Store(int64(e.Spent))
		p.since.Store(time.Now().UnixNano())
		return
	}
	if now := time.Now(); e.Outcome != nil && now.Sub(p.shown) >= time.Second {
		p.shown = now
		fmt.Fprintf(p.w, "%s; %s\n", text, left)
	}
}

// describeTrial says what is sent and, when it is over, what was lost.
func describeTrial(e *rfc2544.Event) string {
	what := fmt.Sprintf("%.0f/s for %v", e.Trial.Rate, e.Trial.Duration)
	if e.Trial.Burst > 0 {
		what = fmt.Sprintf("a burst of %d", e.Trial.Burst)
	}
	if o := e.Outcome; o != nil && o.Sent > 0 {
		what += fmt.Sprintf(": %s lost", percent(1-float64(min(o.Received, o.Sent))/float64(o.Sent)))
	}
	return what
}

// end takes the bar off the screen.
func (p *trialProgress) end() {
	if p.bar != nil {
		p.moves.end()
		p.bar.Abort(true)
		p.bars.Wait()
	}
}

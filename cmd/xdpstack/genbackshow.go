package main

import (
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
	"github.com/xdpstack/xdpstack/gen/measure"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/gen/receive"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/report"
)

// Names in the results of gen --receive and --round-trip.
const (
	histLatency   = "latency"
	histVariation = "variation"
)

// genReceived tells of what gen --receive measures, each second and at the end.
type genReceived struct {
	g        *genCommand
	began    time.Time
	next     time.Time // when the next line is due
	lines    int
	lost     uint64 // at the last line
	most     uint64 // at any: the series does not go back
	at       time.Time
	recorder *report.Recorder
	cpu      report.CPU
	quiet    time.Time // since when nothing came
	packets  uint64
}

func newGenReceived(g *genCommand, iface *afxdp.Interface) *genReceived {
	now := time.Now()
	head := report.Result{
		Tool: "gen-receive", Version: readVersion().Version, Command: os.Args, Main: histLatency, RateOf: "received",
		Setup: []report.Setting{{Name: "interface", Value: iface.Describe()}, {Name: "address", Value: g.source.ownText}},
	}
	return &genReceived{
		g: g, began: now, at: now, quiet: now, next: report.NextTick(now), recorder: report.NewRecorder(head, now), cpu: processTime(),
	}
}

// tick is called ten times a second. It says that it is over when all has come, or nothing comes any more.
func (r *genReceived) tick(now time.Time) (over bool) {
	b := &r.g.back
	if !now.Before(r.next) {
		r.next = report.NextTick(now)
		m := b.recorder.Report()
		r.line(now, &m)
		r.recorder.Tick(now, r.totals(&m))
	}
	counts := b.recorder.Counts()
	if counts.Received+counts.Duplicates+counts.Late != r.packets {
		r.packets, r.quiet = counts.Received+counts.Duplicates+counts.Late, now
	}
	return r.g.pace.count > 0 && counts.Received >= r.g.pace.count || b.idle > 0 && r.packets > 0 && now.Sub(r.quiet) >= b.idle
}

// line prints what a second has brought. What was lost may become less: what is under way, or comes late, counts until it is there.
func (r *genReceived) line(now time.Time, m *measure.Report) {
	if r.g.asJSON {
		return
	}
	w := r.g.out
	if r.lines%20 == 0 {
		fmt.Fprintf(w, "%7s %14s %13s %10s %10s %10s %10s %10s %10s\n", "time", "packets/s", "Mbit/s L2", "lost", "double", "reordered",
			"p50", "p99", "max")
	}
	r.lines++
	span := now.Sub(r.at).Seconds()
	_, _, latency := m.Histograms()
	fmt.Fprintf(w, "%6.1fs %14s %13.2f %10s %10s %10s %s\n", now.Sub(r.began).Seconds(), thousands(float64(m.Since.Packets)/span),
		float64(m.Since.Bytes+rate.FCS*m.Since.Packets)*8/span/1e6, thousands(int64(m.Lost-r.lost)), thousands(m.Since.Duplicates),
		thousands(m.Since.Reordered), latencyColumns(latency))
	r.at, r.lost = now, m.Lost
}

// latencyColumns are p50, p99 and the highest of a second.
func latencyColumns(h *hdrhistogram.Histogram) string {
	if h.TotalCount() == 0 {
		return fmt.Sprintf("%10s %10s %10s", "-", "-", "-")
	}
	at := func(p float64) string { return report.FormatDuration(time.Duration(h.ValueAtPercentile(p))) }
	return fmt.Sprintf("%10s %10s %10s", at(50), at(99), at(100))
}

// totals are what the report is told.
func (r *genReceived) totals(m *measure.Report) report.Totals {
	r.most = max(r.most, m.Lost)
	t := report.Totals{CPU: processTime(), Errors: map[string]uint64{"lost": r.most}, Histograms: make(map[string]*hdrhistogram.Histogram)}
	t.CPU.User, t.CPU.System = t.CPU.User-r.cpu.User, t.CPU.System-r.cpu.System
	addMeasured(&t, m, "")
	return t
}

// addMeasured adds what was measured to totals, with names that begin so.
func addMeasured(t *report.Totals, m *measure.Report, prefix string) {
	if t.Counters == nil {
		t.Counters = make(map[string]uint64)
	}
	metrics.Walk(prefix, m.Counts, func(c metrics.Metric) { t.Counters[c.Name] = c.Value })
	for i := range m.Streams {
		s := &m.Streams[i]
		name := fmt.Sprintf("worker_%d_stream_%d", s.Worker, s.Stream)
		for counter, value := range map[string]uint64{
			"received": s.Counts.Received, "lost": s.Lost, "duplicates": s.Counts.Duplicates, "reordered": s.Counts.Reordered,
		} {
			t.Counters[name+"_"+counter] = value
		}
	}
	latency, variation, _ := m.Histograms()
	t.Histograms[histLatency], t.Histograms[histVariation] = latency, variation
}

// end tells the result.
func (r *genReceived) end(where *receive.Where, tolerance float64) error {
	m := r.g.back.recorder.Report()
	notes := r.g.back.notes()
	if n := r.g.pace.count; n > 0 {
		if err := m.Settle(n); err != nil {
			notes = append(notes, err.Error())
		}
	}
	sum := sumQueues(where.Queues, where.Copying)
	if n := sum.drops.Sum(); n > 0 {
		notes = append(notes, fmt.Sprintf("%s packets were dropped by this receiver, not by the network: its rings were full. Of those "+
			"lost, so many may be its own", thousands(n)))
	}
	result := r.recorder.End(time.Now(), r.totals(&m))
	result.Errors["lost"] = m.Lost
	result.Counters["receiver_dropped"] = sum.drops.Sum()
	result.Notes = append(result.Notes, notes...)
	var err error
	if r.g.asJSON {
		err = result.Write(r.g.out)
	} else {
		fmt.Fprintln(r.g.out)
		tellMeasured(r.g.streams, &m, notes, result.Duration, "one way")
	}
	if r.g.hdr != "" {
		err = errors.Join(err, result.WriteHDRFile(r.g.hdr, r.g.out))
	}
	return errors.Join(err, tooMuchLost(&m, tolerance, r.g.tolerance))
}

// tooMuchLost is an error if more was lost than may be.
func tooMuchLost(m *measure.Report, tolerance float64, text string) error {
	if share := m.LostShare(); tolerance >= 0 && share > tolerance {
		return fmt.Errorf("%.4g%% of the packets were lost, more than the %s of --tolerance", share*100, text)
	}
	return nil
}

// notes say by which clocks the times are.
func (b *genBack) notes() (notes []string) {
	var c receive.Clocks
	for _, t := range b.taps {
		c = metrics.Add(c, t.Clocks())
	}
	for _, source := range []struct {
		n    uint64
		what string
	}{
		{c.Kernel, "arrival: noted by the XDP program when the driver had the packet, by CLOCK_TAI"},
		{c.Worker, "arrival: when this process took the packet from its ring, by CLOCK_TAI"},
		{c.Device, "arrival: noted by the network card, by its own clock: there is no latency of these, and variation only"},
	} {
		if source.n > 0 {
			notes = append(notes, fmt.Sprintf("%s (%s packets)", source.what, thousands(source.n)))
		}
	}
	if b.roundTrip {
		return notes
	}
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err == nil && t.Status&unix.STA_UNSYNC != 0 {
		notes = append(notes, "the clock of this machine is not synchronised: latency of what another machine sent has no meaning, "+
			"variation has")
	}
	return append(notes, fmt.Sprintf("the kernel says that TAI is %d s ahead of UTC: on the sender's machine it must be as much", t.Tai))
}

// tellMeasured writes what was measured.
func tellMeasured(io streams, m *measure.Report, notes []string, took time.Duration, way string) {
	t := newTable(io.out, nil, 2)
	row := func(name, value, remark string) { t.AppendRow(table.Row{name, value, remark}) }
	row("received", thousands(m.Received), fmt.Sprintf("packets in %.4g s", took.Seconds()))
	lost := "from the first that came to the highest of each stream"
	if m.Settled {
		lost = fmt.Sprintf("of the %s that were sent", thousands(m.Sent))
	}
	row("lost", thousands(m.Lost), fmt.Sprintf("%.4g%%: %s", m.LostShare()*100, lost))
	row("double", thousands(m.Duplicates), "packets that had come before")
	row("reordered", thousands(m.Reordered), fmt.Sprintf("%.4g%%, RFC 4737", m.ReorderedShare()*100))
	if m.Reordered > 0 {
		row("extent", thousands(m.Extent.Mean), fmt.Sprintf("packets mean, p99 %s, max %s", thousands(m.Extent.P99),
			thousands(m.Extent.Max)))
	}
	metrics.Walk("", m.Counts, func(c metrics.Metric) {
		switch c.Name {
		case "packets", "bytes", "received", "duplicates", "reordered":
		default:
			if c.Value > 0 {
				row(strings.ReplaceAll(c.Name, "_", " "), thousands(c.Value), c.Help)
			}
		}
	})
	latency, variation, _ := m.Histograms()
	if latency.TotalCount() > 0 {
		row("latency", report.FormatDuration(time.Duration(latency.Min())), "min: "+way)
		percentiles(row, "", latency, way)
	}
	percentiles(row, "variation", variation, "of the latency, from one packet to the next")
	t.Render()
	if len(m.Streams) > 1 {
		tellStreams(io, m.Streams)
	}
	for _, n := range notes {
		fmt.Fprintln(io.out, n)
	}
}

func tellStreams(io streams, all []measure.StreamReport) {
	t := newTable(io.out, table.Row{"worker", "stream", "received", "lost", "double", "reordered", "p50", "p99", "max", "jitter"},
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	text := func(ns int64) string { return report.FormatDuration(time.Duration(ns)) }
	for i := range all {
		s := &all[i]
		t.AppendRow(table.Row{s.Worker, s.Stream, thousands(s.Counts.Received), thousands(s.Lost), thousands(s.Counts.Duplicates),
			thousands(s.Counts.Reordered), text(s.Latency.P50), text(s.Latency.P99), text(s.Latency.Max), text(int64(s.Jitter))})
	}
	fmt.Fprintln(io.out)
	t.Render()
}

// remark is what a line of the sender says about what came back since the one before.
func (b *genBack) remark() string {
	m := &b.result
	_, _, latency := m.Histograms()
	return fmt.Sprintf("  back %s: %s", thousands(m.Since.Received), strings.Join(strings.Fields(latencyColumns(latency)), " "))
}

// settle tells the measurement how many packets left, where that is known, and adds what was lost to the totals.
func (b *genBack) settle(t report.Totals, sent *engine.Result, warmUp time.Duration) report.Totals {
	if !b.roundTrip {
		return t
	}
	if warmUp == 0 { // else what came back is of the warm-up too
		_ = b.result.Settle(sent.Left()) // where it does not fit, what was lost is told by the sequence numbers, and not called settled
	}
	t.Counters["back_lost"] = b.result.Lost
	return t
}

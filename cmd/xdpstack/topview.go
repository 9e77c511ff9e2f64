package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/xdpstack/xdpstack/internal/report"
	"github.com/xdpstack/xdpstack/internal/snapshot"
	"github.com/xdpstack/xdpstack/internal/web"
)

// topText is one screen. Its parts are cut so that it has at most height lines, of which connections get what the others leave; 0: as many
// as it takes.
func topText(now *web.Live, r *web.Rates, order string, height int) string {
	parts := []string{topHead(now, r), topQueues(r, rowsOf(height, 4)), topDrops(r, rowsOf(height, 6))}
	left := math.MaxInt
	if height > 0 {
		left = height - 3 // the connections' heading
		for _, p := range parts {
			left -= strings.Count(p, "\n")
		}
	}
	if left > 0 {
		parts = append(parts, topConnections(now, order, left))
	}
	return strings.Join(parts, "")
}

// rowsOf returns how many rows a part may have that may take 1 / share of the screen.
func rowsOf(height, share int) int {
	if height == 0 {
		return math.MaxInt
	}
	return max(height/share, 1)
}

func topHead(now *web.Live, r *web.Rates) string {
	var b strings.Builder
	on := now.Interface
	if on == "" {
		on = now.Device
	}
	fmt.Fprintf(&b, "%s  %s on %s, process %d, up %v, %s\n", now.Time.Format(time.TimeOnly), now.Address, on, now.PID,
		now.Time.Sub(now.Started).Round(time.Second), topState(now))
	fmt.Fprintf(&b, "connections %d, %d half open, %d in TIME-WAIT; %s accepted/s, %s opened/s\n", now.Open, now.HalfOpen, now.TimeWait,
		prefixed(r.Accepted), prefixed(r.Opened))
	fmt.Fprintf(&b, "in %s packets/s %sb/s, out %s packets/s %sb/s, %s packets a batch; %s of a CPU\n", prefixed(r.Packets.In),
		prefixed(r.Bits.In), prefixed(r.Packets.Out), prefixed(r.Bits.Out), prefixed(r.Batch), percentage(r.CPU))
	fmt.Fprintf(&b, "sent again %s of segments, %s/s", percentage(r.ResentPart), prefixed(r.Resent))
	if q := now.RTT; q != nil {
		fmt.Fprintf(&b, "; round trip median %s, 99 %% %s, longest %s", report.FormatDuration(q.P50), report.FormatDuration(q.P99),
			report.FormatDuration(q.Max))
	}
	b.WriteString("\n")
	if text := defence(now.Shield, now.Filter, now.Queues); text != "" {
		fmt.Fprintf(&b, "%s; answered %s/s, cookies back %s/s, refused %s/s, filtered %s/s\n", strings.TrimSuffix(text, "\n"),
			prefixed(r.Answered), prefixed(r.Returned), prefixed(r.Refused), prefixed(r.Filtered))
	}
	if r.Relayed > 0 {
		fmt.Fprintf(&b, "an upgrade goes on: %s packets/s are relayed between the two processes\n", prefixed(r.Relayed))
	}
	b.WriteString("\n")
	return b.String()
}

func topState(now *web.Live) string {
	if now.Status.Ready || now.Status.Reason == "" {
		return string(now.Status.State)
	}
	return "not ready: " + now.Status.Reason
}

func topQueues(r *web.Rates, rows int) string {
	var b bytes.Buffer
	t := newTable(&b, table.Row{"queue", "in/s", "out/s", "bits in", "bits out", "batch", "lost/s", "CPU", "memory", "conns", "turns/s",
		"sleeps/s", "frames"}, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	for _, q := range r.Queues[:min(rows, len(r.Queues))] {
		cpu := "shared"
		if q.CPU != nil {
			cpu = percentage(*q.CPU)
		}
		mode := "not copied"
		if q.Mode == snapshot.Copy {
			mode = "copied"
		}
		f := q.Frames
		used := float64(f.Held+f.Tx) / float64(max(f.Free+f.Fill+f.Held+f.Tx, 1))
		t.AppendRow(table.Row{q.Queue, prefixed(q.Packets.In), prefixed(q.Packets.Out), prefixed(q.Bits.In), prefixed(q.Bits.Out),
			prefixed(q.Batch), prefixed(q.Lost), cpu, percentage(used), q.Connections, prefixed(q.Turns), prefixed(q.Sleeps), mode})
	}
	return part(t, &b, len(r.Queues)-rows, "queues")
}

func topDrops(r *web.Rates, rows int) string {
	if len(r.Drops) == 0 {
		return "nothing was dropped\n\n"
	}
	var b bytes.Buffer
	t := newTable(&b, table.Row{"dropped", "per second", "all", "why, and what to do"}, 2, 3)
	for _, d := range r.Drops[:min(rows, len(r.Drops))] {
		why := d.Help
		if d.Cure != "" {
			why += " → " + d.Cure
		}
		t.AppendRow(table.Row{d.Name, prefixed(d.Rate), prefixed(float64(d.Value)), why})
	}
	return part(t, &b, len(r.Drops)-rows, "reasons")
}

func topConnections(now *web.Live, order string, rows int) string {
	var b bytes.Buffer
	mark := func(name, title string) string {
		if name == order {
			return title + " ▾"
		}
		return title
	}
	peer := "peer"
	if now.More {
		peer = fmt.Sprintf("peer (the busiest of %d)", now.Seen)
	}
	t := newTable(&b, table.Row{mark("rate", peer), "here", mark("in", "bits in"), mark("out", "bits out"), mark("rtt", "round trip"),
		mark("resent", "resent"), "window", "queue", "state"}, 3, 4, 5, 6, 7, 8)
	for _, c := range now.Top[:min(rows, len(now.Top))] {
		t.AppendRow(table.Row{c.Remote, c.Local, prefixed(8 * c.InRate), prefixed(8 * c.OutRate), report.FormatDuration(c.RTT), c.Resent,
			prefixed(float64(c.Window)), c.Queue, c.State})
	}
	return part(t, &b, 0, "")
}

// part renders a table, and says how many rows were left out.
func part(t table.Writer, b *bytes.Buffer, left int, what string) string {
	t.Render()
	if left > 0 {
		fmt.Fprintf(b, "… and %d %s more\n", left, what)
	}
	b.WriteByte('\n')
	return b.String()
}

// prefixed writes a number with three digits and a prefix: 1.23k.
func prefixed(v float64) string {
	for _, p := range []struct {
		unit float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= p.unit*0.9995 {
			return threeDigits(v/p.unit) + p.name
		}
	}
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return threeDigits(v)
}

func threeDigits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func percentage(part float64) string { return prefixed(math.Round(part*1000)/10) + " %" }

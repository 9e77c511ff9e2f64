package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/gen/receive"
	"github.com/xdpstack/xdpstack/internal/metrics"
)

// receiverWatch prints a line each second.
type receiverWatch struct {
	w        io.Writer
	since    time.Time
	last     time.Time
	n        int
	before   receiverSum
	reflects bool
}

// receiverSum is what came to all queues.
type receiverSum struct {
	packets, bytes, sent, notSent uint64
	drops                         receive.Drops
}

func sumQueues(queues []receive.Queue, copying bool) (s receiverSum) {
	for i := range queues {
		q := &queues[i]
		s.packets += q.Stats.RxPackets
		s.bytes += q.Stats.RxBytes
		s.sent += q.Reflected
		s.notSent += q.NotSent
		s.drops = metrics.Add(s.drops, q.Drops(copying))
	}
	return s
}

func (l *receiverWatch) line(now time.Time, queues []receive.Queue, copying bool) {
	sent := ""
	if l.n%20 == 0 {
		if l.reflects {
			sent = fmt.Sprintf(" %14s", "sent back/s")
		}
		fmt.Fprintf(l.w, "%7s %14s%s %13s %13s %13s %13s\n", "time", "packets/s", sent, "Mbit/s L2", "ring full", "no frame", "other drops")
	}
	l.n++
	s := sumQueues(queues, copying)
	span := now.Sub(l.last).Seconds()
	second := func(now, before uint64) string { return thousands(float64(now-before) / span) }
	count := func(now, before uint64) string { return thousands(now - before) }
	if l.reflects {
		sent = fmt.Sprintf(" %14s", second(s.sent, l.before.sent))
	}
	const fcs = 4
	bits := float64(s.bytes-l.before.bytes+fcs*(s.packets-l.before.packets)) * 8 / span
	b := l.before.drops
	fmt.Fprintf(l.w, "%6.1fs %14s%s %13.2f %13s %13s %13s\n", now.Sub(l.since).Seconds(), second(s.packets, l.before.packets), sent,
		bits/1e6, count(s.drops.RingFull, b.RingFull), count(s.drops.NoFrame, b.NoFrame),
		count(s.drops.Other+s.drops.Invalid+s.notSent, b.Other+b.Invalid+l.before.notSent))
	l.last, l.before = now, s
}

// thousands writes a whole number with commas between thousands.
func thousands[N uint64 | int64 | float64](n N) string {
	return grouped(float64(n))
}

// tellWhere writes where every frame went.
func tellWhere(w io.Writer, where *receive.Where, took time.Duration) {
	sum := sumQueues(where.Queues, where.Copying)
	const fcs = 4
	fmt.Fprintf(w, "\nreceived %s packets in %.3g s: %s packets/s, %.2f Mbit/s of frames with FCS\n\n", thousands(sum.packets),
		took.Seconds(), thousands(float64(sum.packets)/took.Seconds()), float64(sum.bytes+fcs*sum.packets)*8/took.Seconds()/1e6)
	t := newTable(w, table.Row{"where frames went", "frames", ""}, 2)
	row := func(indent int, name string, value uint64, remark string) {
		t.AppendRow(table.Row{strings.Repeat("  ", indent) + name, thousands(value), remark})
	}
	rows := func(indent int, stats any) {
		metrics.Walk("", stats, func(m metrics.Metric) {
			if m.Value != 0 {
				row(indent, strings.ReplaceAll(m.Name, "_", " "), m.Value, m.Help)
			}
		})
	}
	seen, redirected, passed := where.Seen()
	row(0, "XDP program", seen, "frames that it saw")
	row(1, "passed", passed, "to the kernel, because:")
	rows(2, where.Program.Passed)
	row(1, "redirected", redirected, "to the sockets of their queues:")
	rows(2, where.Program.Redirected)
	for i := range where.Queues {
		q := &where.Queues[i]
		drops := q.Drops(where.Copying)
		row(0, fmt.Sprintf("queue %d", q.Index), q.Stats.RxPackets+drops.Sum(), "frames for its socket")
		row(1, "received", q.Stats.RxPackets, fmt.Sprintf("%s bytes", thousands(q.Stats.RxBytes)))
		rows(2, q.Counters)
		row(1, "dropped", drops.Sum(), "by the kernel, because:")
		rows(2, drops)
	}
	t.AppendRow(table.Row{"unexplained", thousands(where.Unexplained()), "redirected, and neither received nor dropped under a name"})
	t.Render()
	fmt.Fprintln(w)
	tellDevice(w, where)
}

// tellDevice writes what the kernel and the driver count of the interface, which is beneath the program and not all of what it saw.
func tellDevice(w io.Writer, where *receive.Where) {
	t := newTable(w, table.Row{"beneath, by the driver", "count", ""}, 2)
	metrics.Walk("", where.Link, func(m metrics.Metric) {
		t.AppendRow(table.Row{strings.ReplaceAll(m.Name, "_", " "), thousands(m.Value), m.Help})
	})
	for _, c := range where.Driver {
		t.AppendRow(table.Row{c.Name, thousands(c.Value), ""})
	}
	t.Render()
}

// receiverJSON is the result of rx and reflect for programs.
type receiverJSON struct {
	Interface   string              `json:"interface"`
	Device      string              `json:"device"`
	Seconds     float64             `json:"seconds"`
	Packets     uint64              `json:"packets"`
	Bytes       uint64              `json:"bytes"`
	Program     map[string]uint64   `json:"xdp_program"`
	Queues      []receiverQueueJSON `json:"queues"`
	Unexplained int64               `json:"unexplained"`
	Link        receive.Link        `json:"link"`
	Driver      []receive.Count     `json:"driver"`
}

type receiverQueueJSON struct {
	Queue   int               `json:"queue"`
	Packets uint64            `json:"packets"`
	Bytes   uint64            `json:"bytes"`
	Dropped receive.Drops     `json:"dropped"`
	Became  map[string]uint64 `json:"became"` // of the packets
	Driver  map[string]uint64 `json:"socket"` // what the socket and its user count
}

func newReceiverJSON(i *afxdp.Interface, where *receive.Where, took time.Duration) receiverJSON {
	sum := sumQueues(where.Queues, where.Copying)
	out := receiverJSON{
		Interface: i.Info().Name, Device: i.Describe(), Seconds: took.Seconds(), Packets: sum.packets, Bytes: sum.bytes,
		Program: counterMap(where.Program), Unexplained: where.Unexplained(), Link: where.Link, Driver: where.Driver,
	}
	for n := range where.Queues {
		q := &where.Queues[n]
		socket := counterMap(q.Stats)
		metrics.Walk("kernel", q.Kernel, func(m metrics.Metric) { socket[m.Name] = m.Value })
		out.Queues = append(out.Queues, receiverQueueJSON{Queue: q.Index, Packets: q.Stats.RxPackets, Bytes: q.Stats.RxBytes,
			Dropped: q.Drops(where.Copying), Became: counterMap(q.Counters), Driver: socket})
	}
	return out
}

// counterMap makes a map of counters.
func counterMap(stats any) map[string]uint64 {
	all := make(map[string]uint64)
	metrics.Walk("", stats, func(m metrics.Metric) { all[m.Name] = m.Value })
	return all
}

package iperf3

import (
	"fmt"
	"io"
	"strings"
)

// textReport writes what happens in iperf3's layout.
type textReport struct {
	w      io.Writer
	title  string // in front of each line
	format byte
	client bool
	bidir  bool
	many   bool // several streams in one direction
	lines  int  // of intervals
}

const (
	rule      = "-----------------------------------------------------------"
	dashes    = "- - - - - - - - - - - - - - - - - - - - - - - - -"
	noRetrans = "              " // in place of the column Retr and what follows
)

func (r *textReport) line(format string, args ...any) {
	prefix := ""
	if r.title != "" {
		prefix = r.title + ":  "
	}
	fmt.Fprintf(r.w, "%s%s\n", prefix, fmt.Sprintf(format, args...))
}

// connected tells of the streams.
func (r *textReport) connected(list []Connected) {
	for _, c := range list {
		r.line("[%3d] local %s port %d connected to %s port %d", c.Socket, c.LocalHost, c.LocalPort, c.RemoteHost, c.RemotePort)
	}
}

// heading is the line above intervals or totals.
func (r *textReport) heading(retrans, cwnd bool) {
	var b strings.Builder
	b.WriteString("[ ID]")
	if r.bidir {
		b.WriteString("[Role]")
	}
	b.WriteString(" Interval           Transfer     Bitrate")
	if retrans {
		b.WriteString("         Retr")
	}
	if cwnd {
		b.WriteString("  Cwnd")
	}
	r.line("%s", b.String())
}

// role is the column of bidirectional tests.
func (r *textReport) role(sender bool) string {
	if !r.bidir {
		return ""
	}
	end, direction := "S", "RX"
	if r.client {
		end = "C"
	}
	if sender {
		direction = "TX"
	}
	return "[" + direction + "-" + end + "]"
}

// interval writes one interval.
func (r *textReport) interval(iv Interval) {
	if r.lines == 0 {
		sends := false
		for _, p := range iv.Streams {
			sends = sends || p.Sender
		}
		r.heading(sends, sends)
	} else if r.many || r.bidir {
		r.line("%s", dashes)
	}
	r.lines++
	for _, sender := range []bool{r.client, !r.client} { // the client's streams are first
		var sum *Piece
		for i, p := range iv.Streams {
			if p.Sender == sender {
				r.piece(fmt.Sprintf("[%3d]", p.Socket), &iv.Streams[i])
				sum = iv.Sum
				if iv.SumReverse != nil && iv.SumReverse.Sender == sender {
					sum = iv.SumReverse
				}
			}
		}
		if sum != nil && r.many {
			r.piece("[SUM]", sum)
		}
	}
}

// piece writes one line of an interval.
func (r *textReport) piece(id string, p *Piece) {
	mark := ""
	if p.Omitted {
		mark = "(omitted)"
	}
	tail := noRetrans
	switch {
	case p.Path != nil:
		tail = fmt.Sprintf("%3d   %s     ", *p.Retransmits, formatBytes(float64(p.SndCwnd)))
	case p.Retransmits != nil:
		tail = fmt.Sprintf("%3d           ", *p.Retransmits)
	}
	r.line("%s%s %6.2f-%-6.2f sec  %s  %s  %s  %s", id, r.role(p.Sender), p.Start, p.End, formatBytes(float64(p.Bytes)),
		formatRate(p.BitsPerSecond, r.format), tail, mark)
}

// summary writes the totals: of both ends at a client, of this one at a server.
func (r *textReport) summary(e *End) {
	if len(e.Streams) == 0 {
		return
	}
	retrans := false
	for _, s := range e.Streams {
		retrans = retrans || r.shown(s.Sender, true) && s.Sender.Retransmits != nil
	}
	r.line("%s", dashes)
	r.heading(retrans, false)
	pair := func(id string, s, v Total) {
		if r.shown(s, true) {
			r.total(id, s, "sender")
		}
		if r.shown(v, false) {
			r.total(id, v, "receiver")
		}
	}
	directions := []bool{r.client, !r.client}
	for i, sender := range directions {
		any := false
		for _, s := range e.Streams {
			if s.Sender.Sender == sender {
				pair(fmt.Sprintf("[%3d]", s.Sender.Socket), s.Sender, s.Receiver)
				any = true
			}
		}
		sent, received := e.SumSent, e.SumReceived
		if e.reverse && i == 1 {
			sent, received = e.SumSentReverse, e.SumReceivedReverse
		}
		if any && r.many {
			pair("[SUM]", *sent, *received)
		}
	}
}

// shown tells whether a total belongs into this end's report.
func (r *textReport) shown(t Total, sender bool) bool { return r.client || t.Sender == sender }

// total writes one line of the summary.
func (r *textReport) total(id string, t Total, who string) {
	tail := noRetrans
	if t.Retransmits != nil {
		tail = fmt.Sprintf("%3d           ", *t.Retransmits)
	}
	r.line("%s%s %6.2f-%-6.2f sec  %s  %s  %s  %s", id, r.role(t.Sender), t.Start, t.End, formatBytes(float64(t.Bytes)),
		formatRate(t.BitsPerSecond, r.format), tail, who)
}

// printable replaces what could move the cursor of a terminal: the text is another machine's.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || c >= ' ' && c < 0x7f || c >= 0xa0 {
			return c
		}
		return '?'
	}, s)
}

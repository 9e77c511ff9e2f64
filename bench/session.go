package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// session is one run of the program.
type session struct {
	options
	started time.Time
	done    int // runs so far, of
	total   int
	report  result.Report
	modes   map[string]string // driver modes as the servers reported them
}

// benchmark says what a name stands for.
type benchmark struct {
	name, title, unit string
	lower             bool
	target            float64
	against           string
	extra             bool // run only when it is asked for by name
}

// benchmarks are in the order in which they are shown.
var benchmarks = append([]benchmark{
	{name: "core-receive", title: "core receive, in memory", unit: "ns/segment", lower: true, target: 5, against: coreGVisor},
	{name: "core-send", title: "core send, in memory", unit: "ns/segment", lower: true, target: 5, against: coreGVisor},
	{name: "bulk-receive", title: "bulk, kernel → stack", unit: "Gbit/s", target: 2, against: gvisorXDP},
	{name: "bulk-send", title: "bulk, stack → kernel", unit: "Gbit/s", target: 2, against: gvisorXDP},
	{name: "http", title: "HTTP keep-alive, 64 connections", unit: "requests/s", target: 2, against: gvisorXDP},
	{name: "connect", title: "connect, 1 request, close, 64 at a time", unit: "connections/s", target: 2, against: gvisorXDP},
	{name: "raw", title: "raw AF_XDP, 1514-byte frames received and dropped", unit: "Mpps"},
}, crossingBenchmarks()...)

const (
	ourName    = "xdpstack"
	coreGVisor = "gVisor"
	gvisorXDP  = "gVisor AF_XDP"
)

func names() []string {
	n := make([]string, len(benchmarks))
	for i, b := range benchmarks {
		n[i] = b.name
	}
	return n
}

func known(prefix string) bool {
	for _, b := range benchmarks {
		if strings.HasPrefix(b.name, prefix) {
			return true
		}
	}
	return false
}

// wanted reports whether a benchmark is to be run.
func (o *options) wanted(b *benchmark) bool {
	if len(o.only) == 0 {
		return !b.extra
	}
	for _, p := range o.only {
		if strings.HasPrefix(b.name, p) {
			return true
		}
	}
	return false
}

// all runs what is wanted and returns the report, also when the context ends.
func (s *session) all(ctx context.Context) *result.Report {
	s.modes = make(map[string]string)
	found := make(map[string]*result.Benchmark)
	for _, b := range benchmarks {
		if !s.wanted(&b) {
			continue
		}
		r := &result.Benchmark{
			Name: b.name, Title: b.title, Unit: b.unit, Lower: b.lower, Ours: ourName, Target: b.target, Against: b.against,
		}
		found[b.name] = r
		s.report.Benchmarks = append(s.report.Benchmarks, r)
	}
	s.total = s.plan(found)
	s.core(ctx, found)
	s.overVeth(ctx, found)
	s.overPath(ctx, found)
	for _, b := range s.report.Benchmarks {
		b.Finish()
	}
	s.relateToLimit(found)
	s.report.Conditions = s.conditions()
	return &s.report
}

// progress says what is being run: on a terminal in one line that is rewritten, elsewhere in a line each.
func (s *session) progress(format string, args ...any) {
	line := fmt.Sprintf("[%d/%d, %v] ", s.done+1, s.total, time.Since(s.started).Round(time.Second)) + fmt.Sprintf(format, args...)
	s.done++
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(os.Stderr, line)
}

func (s *session) clearLine() {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

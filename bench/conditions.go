package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// conditions says under what circumstances the numbers came about.
func (s *session) conditions() []result.Condition {
	var c []result.Condition
	add := func(name, format string, args ...any) {
		c = append(c, result.Condition{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		add("kernel", "%s", unix.ByteSliceToString(u.Release[:]))
	}
	server, client := veth.Processors()
	add("processor", "%s, %d of them; server on %d, client on %d", processorName(), runtime.NumCPU(), server, client)
	add("Go", "%s, gVisor %s", runtime.Version(), version("gvisor.dev/gvisor"))
	add("other load", "%s (load average at the end, of 1, 5 and 15 minutes)", loadAverage())
	t := &s.times
	add("in memory", "GOMAXPROCS 1, %d repeats of %v after %v; ns are processor time", t.coreRepeats, t.coreWindow, t.coreWarmup)
	add("over veth", "%d repeats of %v after %v; bulk on 1 connection", t.repeats, t.window, t.warmup)
	add("over bad paths", "%d repeats of %v after %v; both sides meet the same seeds", t.pathRepeats, t.pathWindow, t.pathWarmup)
	sides := s.describeSides()
	if len(sides) == 0 {
		return c
	}
	receive := "by a kernel thread bound to the side's processor, where a side has an XDP program or GRO; " +
		"elsewhere in the sender's softirq"
	add("link", "veth, one queue, no queueing discipline, unless a benchmark says otherwise; receiving %s", receive)
	add("clients", "xdpstack's own, handler API, which sleeps when idle; the kernel's where that is said, %s for bulk and %s for "+
		"requests, epoll, one thread", app.CongestionControl, app.SmallCongestionControl)
	if s.prefer {
		add("priorities", "what is measured has nice %d, and so has its session", child.Favour)
	}
	return append(c, sides...)
}

// describeSides says of each side over a link what it was and how its driver was bound.
func (s *session) describeSides() []result.Condition {
	var c []result.Condition
	described := make(map[string]bool)
	for _, b := range s.report.Benchmarks {
		for _, side := range b.Sides {
			text := side.Setup + "; " + side.Mode
			if side.Mode != "" && !described[side.Name+text] {
				described[side.Name+text] = true
				c = append(c, result.Condition{Name: side.Name, Value: text})
			}
		}
	}
	return c
}

func processorName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if name, ok := strings.CutPrefix(sc.Text(), "model name"); ok {
			return strings.TrimLeft(name, " \t:")
		}
	}
	return runtime.GOARCH
}

func version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == module {
				return d.Version
			}
		}
	}
	return "of unknown version"
}

func loadAverage() string { return strings.Join(firstFields("/proc/loadavg", 3), " ") }

func firstFields(path string, n int) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return []string{"unknown"}
	}
	f := strings.Fields(string(b))
	return f[:min(n, len(f))]
}

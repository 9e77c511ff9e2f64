package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/internal/netlab"
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
	if len(s.modes) == 0 {
		return c
	}
	receive := "by a kernel thread bound to the side's processor, where a side has an XDP program or GRO; elsewhere in the sender's softirq"
	add("link", "veth, one queue, MTU 1500, no queueing discipline, unless a benchmark says otherwise; receiving %s", receive)
	add("offloads", "%s", offloads())
	add("clients", "xdpstack's own, handler API, which sleeps when idle; the kernel's where that is said, %s for bulk and %s for requests, epoll, "+
		"one thread", app.CongestionControl, app.SmallCongestionControl)
	if s.prefer {
		add("priorities", "what is measured has nice %d, and so has its session", child.Favour)
	}
	described := make(map[string]bool)
	for _, b := range s.report.Benchmarks {
		for _, side := range b.Sides {
			if m := s.modes[side.Name]; m != "" && !described[side.Name+side.Setup] {
				described[side.Name+side.Setup] = true
				add(side.Name, "%s; %s", side.Setup, m)
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

// features are the offloads that matter here, with the names that people know them by.
var features = []struct{ name, known string }{
	{"tx-checksum-ip-generic", "TX checksum"}, {"tx-tcp-segmentation", "TSO"}, {"tx-generic-segmentation", "GSO"}, {"rx-gro", "GRO"},
	{"rx-checksum", "RX checksum"},
}

// offloads looks at both ends of a laboratory like those of the benchmarks.
func offloads() string {
	lab, err := netlab.New(netlab.Config{Name: "bench"})
	if err != nil {
		return "unknown: " + err.Error()
	}
	ends := fmt.Sprintf("stack's end %s; kernel's end %s", offloadsOf(lab.Stack), offloadsOf(lab.Kernel))
	if err := lab.Close(); err != nil {
		ends += "; " + err.Error()
	}
	return ends
}

func offloadsOf(side *netlab.Side) string {
	var on, off []string
	err := side.Do(func() error {
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer tool.Close()
		set, err := tool.Features(side.Interface)
		for _, f := range features {
			if set[f.name] {
				on = append(on, f.known)
			} else {
				off = append(off, f.known)
			}
		}
		return err
	})
	if err != nil {
		return "unknown: " + err.Error()
	}
	return strings.TrimPrefix(fmt.Sprintf("%s on, %s off", strings.Join(on, ", "), strings.Join(off, ", ")), " on, ")
}

package veth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/flood"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/xdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// Figures of a server that is flooded with SYNs.
const (
	SYNs          = "SYNs/s"         // that came to the server's end
	SYNsSent      = "SYNs sent/s"    // by the flooder's count
	RingFull      = "ring full %"    // of all frames that the client's side tried to send, again where they were lost
	AnswersLost   = "answers lost %" // of all frames that the server's side sent, because the ring to the client was full
	VisitsTried   = "visits"         // connections of the legitimate client in the flood
	VisitsShare   = "succeeded %"    // of them, with the whole response
	CalmShare     = "calm succeeded %"
	FloodP50      = "flooded p50 µs" // to connect; the value is the 99th percentile
	CalmP50       = "calm p50 µs"
	CalmP99       = "calm p99 µs"
	FloodRatio    = "flooded/calm p99"
	CalmServerCPU = "calm server CPU" // seconds per second, as that in the flood is
	RSSGrowth     = "RSS growth MiB"  // of the server's process, from before the flood to its end
	PerSYN        = "packets/SYN"     // of the flood that came to the process
	ProcessPerSYN = "process ns/SYN"  // processor time of the server's process in the flood, less that in peace, for each SYN
)

// Flood is what a server is flooded with, and visited by meanwhile.
type Flood struct {
	Rate   float64 // SYNs a second; 0: as many as go
	Visits float64 // connections a second
	Window time.Duration
	// Lossy has a frame that finds the link's ring full be lost, as on a bare veth. Otherwise it waits, or its sender does, as at the ring
	// of a network card.
	Lossy bool
}

// Flood starts a server in a laboratory of its own, and measures how long it takes a kernel's client to connect: in peace, and in a flood
// of SYNs from sources that do not exist.
func (r *Runner) Flood(ctx context.Context, s Server, f Flood) result.Run {
	run, err := r.flood(ctx, s, f)
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	return run
}

func (r *Runner) flood(ctx context.Context, s Server, f Flood) (run result.Run, err error) {
	cfg := r.Lab
	cfg.Name, cfg.BothKernel, cfg.Queues = "bench", s.Kernel, 1
	if !f.Lossy {
		cfg.Qdisc = "pfifo"
	}
	lab, err := netlab.New(cfg)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	pass, err := prepareFlood(lab, &s)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, pass.Close()) }()
	at := r.arena(lab, &s)
	ready, err := r.startServer(ctx, at, &s)
	if err != nil {
		return run, err
	}
	defer at.server.Stop()
	before, err := countFlood(lab)
	if err != nil {
		return run, err
	}
	run, sent, err := r.floodPhases(ctx, at, f)
	if err != nil {
		return run, err
	}
	after, err := countFlood(lab)
	if err != nil {
		return run, err
	}
	run.Mode, run.Link = ready.Mode, describeLink(lab)
	if cfg.Qdisc != "" {
		run.Link += "; queueing discipline " + cfg.Qdisc
	}
	runs := map[string]result.Run{"": run}
	if err := r.addCounters(ctx, at, &s, nil, runs); err != nil {
		return run, err
	}
	run = runs[""]
	run.Extra[SYNsSent] = sent.SYNs / sent.Seconds
	after.count(before, sent.Seconds, run.Extra)
	run.Extra[ProcessPerSYN] *= 1e9 / max(1, run.Extra[SYNs])
	return run, nil
}

// floodCount is what both sides have sent.
type floodCount struct {
	client, server netlink.LinkStatistics
	segments       float64 // of the TCP of the client's kernel
}

func countFlood(lab *netlab.Lab) (c floodCount, err error) {
	if c.client, err = counters(lab.Kernel); err != nil {
		return c, err
	}
	if c.server, err = counters(lab.Stack); err != nil {
		return c, err
	}
	err = lab.Kernel.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		var rows [][]string // the names and the numbers of TCP
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 && f[0] == "Tcp:" {
				rows = append(rows, f)
			}
		}
		if len(rows) != 2 || len(rows[0]) != len(rows[1]) || !slices.Contains(rows[0], "OutSegs") {
			return errors.New("veth: no OutSegs of TCP in the kernel's counters")
		}
		c.segments, err = strconv.ParseFloat(rows[1][slices.Index(rows[0], "OutSegs")], 64)
		return err
	})
	return c, err
}

// count adds the figures of a flood. What the link has carried and the client's TCP has not sent are SYNs of the flood: the socket's own
// count does not say how many came, because a frame that finds the link's ring full is sent again.
func (c floodCount) count(before floodCount, seconds float64, extra map[string]float64) {
	sent := func(now, then netlink.LinkStatistics) (carried, lost float64) {
		return float64(now.TxPackets - then.TxPackets), float64(now.TxDropped - then.TxDropped)
	}
	carried, lost := sent(c.client, before.client)
	others := c.segments - before.segments
	came := max(0, carried-others)
	extra[SYNs] = came / seconds
	extra[RingFull] = 100 * lost / max(1, carried+lost)
	answered, unanswered := sent(c.server, before.server)
	extra[AnswersLost] = 100 * unanswered / max(1, answered+unanswered)
	if received, ok := extra["server_rx_frames"]; ok && came > 0 {
		if extra["server_tcp_listen_cookies_sent"] == 0 { // those that come back are answers to SYNs that the shield kept
			others -= extra["server_tcp_listen_cookies_accepted"]
		}
		extra[PerSYN] = max(0, received-others) / came
	}
}

// prepareFlood readies both ends. What XDP sends back reaches a veth's other end only if that has a program, too: every server's client has
// one, whether the server needs it or not. The server has a way back to the flood's sources, for its SYN-ACKs, which that program drops:
// they would go elsewhere, and not cost the client anything.
func prepareFlood(lab *netlab.Lab, s *Server) (pass *xdp.Program, err error) {
	if err := prepareClient(lab.Kernel); err != nil {
		return nil, err
	}
	if s.Kernel {
		if err := lab.Stack.Do(func() error { return prepareKernel(lab) }); err != nil {
			return nil, err
		}
	}
	err = lab.Kernel.Do(func() error {
		pass, err = xdp.PassBut(lab.Kernel.Index, rawlink.FloodSources)
		return err
	})
	return pass, err
}

// prepareKernel has the kernel's server answer floods with cookies, as it does by default.
func prepareKernel(lab *netlab.Lab) error {
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_syncookies", []byte("1"), 0); err != nil {
		return fmt.Errorf("veth: prepare the server's namespace: %w", err)
	}
	sources := rawlink.FloodSources
	err := netlink.RouteAdd(&netlink.Route{
		Dst:       &net.IPNet{IP: sources.Addr().AsSlice(), Mask: net.CIDRMask(sources.Bits(), 32)},
		LinkIndex: lab.Stack.Index, Gw: lab.Kernel.Address.Addr().AsSlice(),
	})
	if err != nil {
		return fmt.Errorf("veth: route to the flood's sources: %w", err)
	}
	return nil
}

// floodPhases are the visits in peace and those in the flood.
func (r *Runner) floodPhases(ctx context.Context, at *arena, f Flood) (run result.Run, sent rawlink.Flooded, err error) {
	calm, calmRun, err := r.visits(ctx, at, f)
	if err != nil {
		return run, sent, err
	}
	began, err := residentBytes(at.server.PID())
	if err != nil {
		return run, sent, err
	}
	flooder, err := start(at.lab.Kernel, r.command(1, "flood", "-interface", at.lab.Kernel.Interface,
		"-to", net.HardwareAddr(at.lab.Stack.MAC[:]).String(),
		"-target", netip.AddrPortFrom(at.lab.Stack.Address.Addr(), app.HTTPPort).String(), "-cpu", strconv.Itoa(r.ClientCPU),
		"-rate", strconv.FormatFloat(f.Rate, 'f', -1, 64)))
	if err != nil {
		return run, sent, err
	}
	defer flooder.Stop()
	if err := flooder.Next(ctx, "ready", patience, nil); err != nil {
		return run, sent, err
	}
	wet, run, err := r.visits(ctx, at, f)
	if err != nil {
		return run, sent, err
	}
	ended, err := residentBytes(at.server.PID())
	if err != nil {
		return run, sent, err
	}
	flooder.Release()
	if err := flooder.Next(ctx, child.KindDone, patience, &sent); err != nil {
		return run, sent, err
	}
	run.Seconds, run.Value = wet.Seconds, wet.P99
	run.Extra = map[string]float64{
		VisitsTried: wet.Tried, VisitsShare: 100 * wet.Succeeded / wet.Tried, CalmShare: 100 * calm.Succeeded / calm.Tried,
		FloodP50: wet.P50, CalmP50: calm.P50, CalmP99: calm.P99, FloodRatio: wet.P99 / calm.P99,
		ProcessPerSYN: run.Server.Process/wet.Seconds - calmRun.Server.Process/calm.Seconds,
		CalmServerCPU: (calmRun.Server.Process + calmRun.Server.Receive) / calm.Seconds,
		RSSGrowth:     (ended - began) / (1 << 20),
	}
	return run, sent, nil
}

// visits has the client connect for the time of the window.
func (r *Runner) visits(ctx context.Context, at *arena, f Flood) (got flood.Result, run result.Run, err error) {
	client, err := start(at.lab.Kernel, r.command(1, "visit", "-address",
		netip.AddrPortFrom(at.lab.Stack.Address.Addr(), app.HTTPPort).String(), "-cpu", strconv.Itoa(r.ClientCPU),
		"-rate", strconv.FormatFloat(f.Visits, 'f', -1, 64), "-warmup", r.Warmup.String(), "-window", f.Window.String()))
	if err != nil {
		return got, run, err
	}
	defer client.Stop()
	if err := r.bindReceivers(at); err != nil {
		return got, run, err
	}
	if err := preferReceivers(at.clientReceivers); err != nil {
		return got, run, err
	}
	run, err = r.window(ctx, at, client, client, f.Window, &got)
	return got, run, err
}

// preferReceivers puts the threads that receive for the client before the processes of its processor, as an interrupt would be. Or they
// wait for the flooder and the client, and answers of the server are lost in front of them.
func preferReceivers(pids []int) error {
	for _, pid := range pids {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		if err := unix.SchedSetAttr(pid, &attr, 0); err != nil {
			return fmt.Errorf("veth: real-time priority of the receive thread %d: %w", pid, err)
		}
	}
	return nil
}

// residentBytes returns how much memory a process has.
func residentBytes(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("veth: memory of the server: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("veth: memory of the server: %q has no second field", text)
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()), err
}

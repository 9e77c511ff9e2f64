package veth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// clientAddress is that of our n-th client in a laboratory: the kernel has the address of its side itself. Each has one of its
// own, because the server's TIME-WAIT has not forgotten the ports of the one before, which had another clock of timestamps.
func clientAddress(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(2 + n)}), 24)
}

// arena is a laboratory with a server in it.
type arena struct {
	lab                    *netlab.Lab
	server                 *child.Process
	serverPID              int   // of the process that serves, if it is not that one
	serverCPUs, clientCPUs []int // a processor for each queue's shard and receiving thread

	clients  int              // so far
	threaded bool             // each side has a kernel thread that receives for it
	mark     func(start bool) // called at the window's start and end, if not nil

	// The kernel threads that receive for either side, if the laboratory has any.
	serverReceivers, clientReceivers []int
}

// measure runs the load generator once. The readings of the CPU clocks are taken when it says that its window begins and ends.
func (r *Runner) measure(ctx context.Context, at *arena, w Work) (run result.Run, err error) {
	at.clients++
	threads := 1
	if w.Client.ours() {
		threads += len(at.clientCPUs) // as for the server: one more than shards
	}
	cmd := r.command(threads, "load", "-work", string(w.Work), "-client", string(w.Client),
		"-interface", at.lab.Kernel.Interface, "-own", clientAddress(at.clients).String(), "-spin", cmp.Or(w.Spin, -1).String(),
		"-address", at.lab.Stack.Address.Addr().String(), "-conns", strconv.Itoa(w.Conns), "-warmup", r.Warmup.String(),
		"-window", r.Window.String(), "-cpus", join(at.clientCPUs), "-congestion", r.Congestion,
		"-prefer="+strconv.FormatBool(r.Path != nil), "-zero-copy="+strconv.FormatBool(r.ZeroCopyPeer))
	if w.Client == OurLoad {
		child.Profiled(cmd, r.Profile)
	}
	client, err := start(at.lab.Kernel, cmd)
	if err != nil {
		return run, err
	}
	defer client.Stop()
	if err := client.Next(ctx, "ready", load.OpenPatience+patience, nil); err != nil {
		return run, err
	}
	// Not before: attaching an XDP program makes an end's threads anew.
	if err := r.bindReceivers(at); err != nil {
		return run, err
	}
	if err := r.bindInterrupts(at.lab); err != nil {
		return run, err
	}
	link := describeLink(at.lab)
	var got load.Result
	run, err = r.window(ctx, at, client, client, r.Window, &got)
	if err != nil {
		return run, err
	}
	run.Value, run.Seconds = got.Count/got.Seconds*w.Scale, got.Seconds
	if got.CPU > 0 {
		run.Client.Process = got.CPU
	}
	if w.Scale == 0 {
		run.Value = got.P50
	}
	run.Extra, run.Link = extras(&got), link
	if w.Frame > 0 {
		maps.Copy(run.Extra, r.perFrame(&run, got.Count/w.Frame))
	}
	if spent := run.Server.Process + run.Server.Receive; run.Server.Receive > 0 && spent > 0 {
		run.Extra[PerServerCPU] = run.Value * run.Seconds / spent
	}
	if spent := run.Client.Process + run.Client.Receive; run.Client.Receive > 0 && spent > 0 {
		run.Extra[PerClientCPU] = run.Value * run.Seconds / spent
	}
	if got.Errors > 0 {
		run.Failed = fmt.Sprintf("%.0f connections failed of %.0f", got.Errors, got.Count)
	}
	return run, nil
}

func extras(got *load.Result) map[string]float64 {
	extra := make(map[string]float64)
	if got.P50 > 0 {
		extra["p50 µs"], extra["p99 µs"], extra["p99.9 µs"], extra["max µs"] = got.P50, got.P99, got.P999, got.Max
	}
	if got.RTT > 0 {
		extra["client_rtt_µs"], extra["client_cwnd"] = got.RTT, got.CWnd
	}
	return extra
}

// bindReceivers binds the kernel threads that receive for either side, if the laboratory has any, to the side's processor.
func (r *Runner) bindReceivers(at *arena) error {
	if !at.threaded {
		return nil
	}
	for _, end := range []struct {
		side *netlab.Side
		cpus []int
		pids *[]int
	}{{at.lab.Stack, at.serverCPUs, &at.serverReceivers}, {at.lab.Kernel, at.clientCPUs, &at.clientReceivers}} {
		pids, err := end.side.ReceiveThreads()
		if err != nil {
			return err
		}
		for i, pid := range pids {
			cpu := end.cpus[i%len(end.cpus)]
			if err := r.bindReceiver(pid, cpu); err != nil {
				return fmt.Errorf("veth: bind the receive thread %d to processor %d: %w", pid, cpu, err)
			}
		}
		*end.pids = pids
	}
	return nil
}

func (r *Runner) bindReceiver(pid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	err := unix.SchedSetaffinity(pid, &set)
	if err == nil && r.Prefer {
		err = unix.Setpriority(unix.PRIO_PROCESS, pid, child.Favour)
	}
	return err
}

// window reads the CPU clocks when the teller, one of the two, says that its window starts and stops, and takes its result.
func (r *Runner) window(
	ctx context.Context, at *arena, client, teller *child.Process, length time.Duration, v any,
) (run result.Run, err error) {
	limit := patience + r.Warmup + length
	if err := teller.Next(ctx, "start", limit, nil); err != nil {
		return run, err
	}
	if at.mark != nil {
		at.mark(true)
	}
	before, err := r.read(at, client)
	if err != nil {
		return run, err
	}
	if err := teller.Next(ctx, "stop", limit, nil); err != nil {
		return run, err
	}
	if at.mark != nil {
		at.mark(false)
	}
	after, err := r.read(at, client)
	if err != nil {
		return run, err
	}
	run.Server, run.Client = after.server.since(before.server), after.client.since(before.client)
	run.Busy = run.Server.Core
	if r.ClientCPU != r.ServerCPU {
		run.Busy += run.Client.Core
	}
	if err := teller.Next(ctx, "result", limit, v); err != nil {
		return run, err
	}
	if teller == client {
		run.ClientGC = client.GC()
	}
	return run, nil
}

// reading is both sides' CPU clocks.
type reading struct{ server, client usage }

type usage struct{ process, receive, core time.Duration }

func (u usage) since(v usage) result.CPU {
	return result.CPU{
		Process: (u.process - v.process).Seconds(), Receive: (u.receive - v.receive).Seconds(), Core: (u.core - v.core).Seconds(),
	}
}

func (r *Runner) read(at *arena, client *child.Process) (rd reading, err error) {
	busy, err := child.Busy()
	if err != nil {
		return rd, err
	}
	if at.serverPID != 0 {
		rd.server.process, err = child.CPU(at.serverPID)
	} else {
		rd.server.process, err = at.server.CPU()
	}
	if err != nil {
		return rd, err
	}
	if rd.client.process, err = client.CPU(); err != nil {
		return rd, err
	}
	if rd.server.receive, err = cpuOf(at.serverReceivers); err != nil {
		return rd, err
	}
	if rd.client.receive, err = cpuOf(at.clientReceivers); err != nil {
		return rd, err
	}
	rd.server.core, rd.client.core = busy[min(r.ServerCPU, len(busy)-1)], busy[min(r.ClientCPU, len(busy)-1)]
	return rd, nil
}

func cpuOf(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		t, err := child.CPU(pid)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

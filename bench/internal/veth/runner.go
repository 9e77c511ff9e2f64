package veth

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// Server is one kind of server.
type Server struct {
	Name    string // of the side
	Kind    string // as ServeArgs has it
	Threads int    // GOMAXPROCS
	Setup   string
	Kernel  bool // the kernel itself has the server's address
	Free    bool // may run on every processor, the client's too
}

// Servers are the sides, the first one ours.
//
// A shard of xdpstack is one thread (the second P is for the collector), and so is the kernel's server. gVisor reads, processes
// and writes on goroutines of their own. Whether it is faster with every processor or bound to one, where nothing has to be
// fetched from the other's cache, depends on the work: its AF_XDP side runs both ways.
var Servers = []Server{
	{Name: "xdpstack", Kind: "xdpstack", Threads: 2, Setup: "AF_XDP, native driver, handler API"},
	{Name: "gVisor AF_XDP", Kind: "gvisor-xdp", Threads: 2, Setup: "link/xdp, receive buffer 512 KiB fixed, fifo qdisc"},
	{Name: "gVisor AF_XDP, unbound", Kind: "gvisor-xdp", Threads: 2, Free: true, Setup: "the same"},
	{Name: "gVisor AF_PACKET", Kind: "gvisor-packet", Threads: 2, Setup: "link/fdbased, recvmmsg, GRO, software GSO, fifo qdisc"},
	{Name: "kernel, XDP_PASS", Kind: "kernel-xdp", Threads: 1, Setup: "epoll server, XDP_PASS on its interface", Kernel: true},
	{Name: "kernel", Kind: "kernel", Threads: 1, Setup: "epoll server, no XDP", Kernel: true},
}

// Describe says how the server is set up.
func (s *Server) Describe() string {
	place := "bound to one processor"
	if s.Free {
		place = "on every processor"
	}
	return fmt.Sprintf("%s; GOMAXPROCS %d, %s", s.Setup, s.Threads, place)
}

// Work is one benchmark.
type Work struct {
	Work  load.Work
	Conns int
	Unit  string
	Scale float64 // counts per second in the unit
}

// Works are the benchmarks in the order in which a server is asked for them.
var Works = []Work{
	{Work: load.Receive, Conns: 1, Unit: "Gbit/s", Scale: 8e-9},
	{Work: load.Send, Conns: 1, Unit: "Gbit/s", Scale: 8e-9},
	{Work: load.HTTP, Conns: 64, Unit: "requests/s", Scale: 1},
	{Work: load.Connect, Conns: 64, Unit: "connections/s", Scale: 1},
}

// Runner makes the runs.
type Runner struct {
	Lab            netlab.Config
	Warmup, Window time.Duration
	RawWindow      time.Duration
	ServerCPU      int
	ClientCPU      int
	Congestion     string // the congestion control of xdpstack's and the kernel's servers, and of bulk clients
	Path           *Path  // nil: the sides are joined directly
}

// Ready is what a server says when it listens.
type Ready struct {
	Mode string `json:"mode"` // of the driver, as it was bound
}

// patience bounds what a child may take to get ready.
const patience = 10 * time.Second

// One starts a server in a laboratory of its own and measures it with every kind of work. A failure is in the runs.
func (r *Runner) One(ctx context.Context, s Server, works []Work) (map[load.Work]result.Run, Ready) {
	runs := make(map[load.Work]result.Run, len(works))
	ready, err := r.one(ctx, s, works, runs)
	for _, w := range works {
		if _, ok := runs[w.Work]; !ok && err != nil {
			runs[w.Work] = result.Run{Failed: err.Error()}
		}
	}
	return runs, ready
}

func (r *Runner) one(ctx context.Context, s Server, works []Work, runs map[load.Work]result.Run) (ready Ready, err error) {
	cfg := r.Lab
	cfg.Name, cfg.BothKernel, cfg.Hop = "bench", s.Kernel, r.Path != nil
	lab, err := netlab.New(cfg)
	if err != nil {
		return ready, err
	}
	defer func() {
		if e := lab.Close(); e != nil && err == nil {
			err = e
		}
	}()
	if err := prepareClient(lab.Kernel); err != nil {
		return ready, err
	}
	hop, err := r.startHop(ctx, lab)
	if err != nil {
		return ready, err
	}
	if hop != nil {
		defer hop.Stop()
	}
	cpu := r.ServerCPU
	if s.Free {
		cpu = -1
	}
	server, err := child.Start(r.command(lab.Stack, s.Threads, "serve", "-kind", s.Kind, "-interface", lab.Stack.Interface,
		"-address", lab.Stack.Address.String(), "-cpu", strconv.Itoa(cpu), "-congestion", r.Congestion,
		"-prefer="+strconv.FormatBool(r.Path != nil)))
	if err != nil {
		return ready, err
	}
	defer server.Stop()
	if err := server.Next(ctx, "ready", patience, &ready); err != nil {
		return ready, fmt.Errorf("%s: %w", s.Name, err)
	}
	if err := r.bindReceivers(lab); err != nil {
		return ready, err
	}
	for _, w := range works {
		run, err := r.measure(ctx, lab, server, w)
		if ctx.Err() != nil {
			return ready, ctx.Err()
		}
		if err != nil {
			run = result.Run{Failed: err.Error()}
		}
		if s.Free { // neither processor is one side's alone
			run.Server.Core, run.Client.Core = 0, 0
		}
		runs[w.Work] = run
	}
	server.Release()
	var counters map[string]float64
	if err := server.Next(ctx, child.KindDone, patience, &counters); err != nil {
		return ready, fmt.Errorf("%s: %w", s.Name, err)
	}
	extra := make(map[string]float64)
	for name, v := range counters {
		extra["server_"+name] = v
	}
	if hop != nil {
		if err := r.explain(ctx, lab, s, hop, extra); err != nil {
			return ready, err
		}
	}
	for w, run := range runs {
		if run.Extra == nil {
			run.Extra = make(map[string]float64)
		}
		maps.Copy(run.Extra, extra)
		runs[w] = run
	}
	return ready, nil
}

// bindReceivers binds the kernel threads that receive for either side, if the laboratory has any, to the side's processor.
func (r *Runner) bindReceivers(lab *netlab.Lab) error {
	if !r.Lab.Threaded {
		return nil
	}
	for _, end := range []struct {
		side *netlab.Side
		cpu  int
	}{{lab.Stack, r.ServerCPU}, {lab.Kernel, r.ClientCPU}} {
		pids, err := end.side.ReceiveThreads()
		if err != nil {
			return err
		}
		var set unix.CPUSet
		set.Set(end.cpu)
		for _, pid := range pids {
			if err := unix.SchedSetaffinity(pid, &set); err != nil {
				return fmt.Errorf("veth: bind the receive thread %d to processor %d: %w", pid, end.cpu, err)
			}
		}
	}
	return nil
}

// command prepares this executable as a child inside a namespace.
func (r *Runner) command(side *netlab.Side, threads int, args ...string) *exec.Cmd {
	cmd := side.Command(context.Background(), "/proc/"+strconv.Itoa(os.Getpid())+"/exe", args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(threads), "GOTRACEBACK=single")
	return cmd
}

// measure runs the load generator once. The readings of the CPU clocks are taken when it says that its window begins and ends.
func (r *Runner) measure(ctx context.Context, lab *netlab.Lab, server *child.Process, w Work) (run result.Run, err error) {
	client, err := child.Start(r.command(lab.Kernel, 1, "load", "-work", string(w.Work),
		"-address", lab.Stack.Address.Addr().String(), "-conns", strconv.Itoa(w.Conns), "-warmup", r.Warmup.String(),
		"-window", r.Window.String(), "-cpu", strconv.Itoa(r.ClientCPU), "-congestion", r.Congestion,
		"-prefer="+strconv.FormatBool(r.Path != nil)))
	if err != nil {
		return run, err
	}
	defer client.Stop()
	var got load.Result
	run, err = r.window(ctx, server, client, client, r.Window, &got)
	if err != nil {
		return run, err
	}
	run.Value, run.Seconds = got.Count/got.Seconds*w.Scale, got.Seconds
	if got.P50 > 0 {
		run.Extra = map[string]float64{"p50 µs": got.P50, "p99 µs": got.P99, "max µs": got.Max}
	}
	if got.RTT > 0 {
		run.Extra = map[string]float64{"client_rtt_µs": got.RTT, "client_cwnd": got.CWnd}
	}
	if got.Errors > 0 {
		run.Failed = fmt.Sprintf("%.0f connections failed of %.0f", got.Errors, got.Count)
	}
	return run, nil
}

// window reads the CPU clocks when the teller, one of the two, says that its window starts and stops, and takes its result.
func (r *Runner) window(
	ctx context.Context, server, client, teller *child.Process, length time.Duration, v any,
) (run result.Run, err error) {
	limit := patience + r.Warmup + length
	if err := teller.Next(ctx, "start", limit, nil); err != nil {
		return run, err
	}
	before, err := r.read(server, client)
	if err != nil {
		return run, err
	}
	if err := teller.Next(ctx, "stop", limit, nil); err != nil {
		return run, err
	}
	after, err := r.read(server, client)
	if err != nil {
		return run, err
	}
	run.Server, run.Client = after.server.since(before.server), after.client.since(before.client)
	run.Busy = run.Server.Core
	if r.ClientCPU != r.ServerCPU {
		run.Busy += run.Client.Core
	}
	return run, teller.Next(ctx, "result", limit, v)
}

// reading is both sides' CPU clocks.
type reading struct{ server, client usage }

type usage struct{ process, core time.Duration }

func (u usage) since(v usage) result.CPU {
	return result.CPU{Process: (u.process - v.process).Seconds(), Core: (u.core - v.core).Seconds()}
}

func (r *Runner) read(server, client *child.Process) (rd reading, err error) {
	busy, err := child.Busy()
	if err != nil {
		return rd, err
	}
	if rd.server.process, err = server.CPU(); err != nil {
		return rd, err
	}
	if rd.client.process, err = client.CPU(); err != nil {
		return rd, err
	}
	rd.server.core, rd.client.core = busy[min(r.ServerCPU, len(busy)-1)], busy[min(r.ClientCPU, len(busy)-1)]
	return rd, nil
}

// clientSettings are those of the clients' namespace. New connections per second would run out of the usual 28,000 ports. A default
// congestion control that paces, as BBR does, costs a client of small requests a timer for each; CUBIC, which the bulk clients choose,
// may not be a namespace's default everywhere.
var clientSettings = map[string]string{
	"/proc/sys/net/ipv4/ip_local_port_range":    "1024 65535",
	"/proc/sys/net/ipv4/tcp_congestion_control": app.SmallCongestionControl,
}

func prepareClient(side *netlab.Side) error {
	return side.Do(func() error {
		for path, value := range clientSettings {
			if err := os.WriteFile(path, []byte(value), 0); err != nil {
				return fmt.Errorf("veth: prepare the clients' namespace: %w", err)
			}
		}
		return nil
	})
}

// Processors chooses a processor for the server and one for the client: apart, and off the first where there are enough, because
// interrupts go there.
func Processors() (server, client int) {
	switch n := runtime.NumCPU(); {
	case n >= 4:
		return 2, 3
	case n >= 2:
		return 1, 0
	}
	return 0, 0
}

package veth

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// Runner makes the runs.
type Runner struct {
	Lab            netlab.Config
	Warmup, Window time.Duration
	RawWindow      time.Duration
	ServerCPU      int
	ClientCPU      int
	Congestion     string // the congestion control of xdpstack's and the kernel's servers, and of bulk clients
	Path           *Path  // nil: the sides are joined directly
	ZeroCopyPeer   bool   // our client, and what feeds a measured end with raw frames, insist on zero-copy
	Prefer         bool   // the process and its children come before others: let the threads that receive for them do so, too
	Profile        string // file for a profile of the server's processor time; empty for none
}

// Ready is what a server says when it listens.
type Ready struct {
	Mode string `json:"mode"`          // of the driver, as it was bound
	PID  int    `json:"pid,omitempty"` // of the process that serves, if that is another one

	Control string `json:"control,omitempty"` // where the control socket is, if it has one
}

// patience bounds what a child may take to get ready.
const patience = 20 * time.Second

// One starts a server in a laboratory of its own and measures it with every kind of work. It returns a run for each, by name; a
// failure is in the runs.
func (r *Runner) One(ctx context.Context, s Server, works []Work) (map[string]result.Run, Ready) {
	runs := make(map[string]result.Run, len(works))
	ready, err := r.one(ctx, s, works, runs)
	for _, w := range works {
		if _, ok := runs[w.Name]; !ok && err != nil {
			runs[w.Name] = result.Run{Failed: err.Error()}
		}
	}
	return runs, ready
}

func (r *Runner) one(ctx context.Context, s Server, works []Work, runs map[string]result.Run) (ready Ready, err error) {
	cfg := r.Lab
	cfg.Name, cfg.BothKernel, cfg.Hop, cfg.Queues = "bench", s.Kernel, r.Path != nil, max(s.Pairs, 1)
	cfg.Offloads = cfg.Offloads || s.Offloads
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
	at := r.arena(lab, &s)
	if ready, err = r.startServer(ctx, at, &s); err != nil {
		return ready, err
	}
	defer at.server.Stop()
	if err := r.measureAll(ctx, at, &s, works, runs); err != nil {
		return ready, err
	}
	return ready, r.addCounters(ctx, at, &s, hop, runs)
}

// arena says where a server and its clients run.
func (r *Runner) arena(lab *netlab.Lab, s *Server) *arena {
	at := &arena{lab: lab, threaded: r.Lab.Threaded, serverCPUs: []int{r.ServerCPU}, clientCPUs: []int{r.ClientCPU}}
	if s.Pairs > 0 {
		at.serverCPUs = []int{r.ServerCPU, r.ClientCPU}[:s.Pairs]
		at.clientCPUs = at.serverCPUs
	}
	return at
}

// startServer starts a server and waits until it is ready. After an error nothing of it is left.
func (r *Runner) startServer(ctx context.Context, at *arena, s *Server) (ready Ready, err error) {
	cpus := at.serverCPUs
	if s.Free {
		cpus = nil
	}
	cmd := r.command(s.Threads, "serve", "-kind", s.Kind, "-interface", at.lab.Stack.Interface,
		"-address", at.lab.Stack.Address.String(), "-cpus", join(cpus), "-congestion", r.Congestion,
		"-prefer="+strconv.FormatBool(r.Path != nil), "-spin", s.Spin.String(),
		"-zero-copy="+strconv.FormatBool(s.ZeroCopy))
	if s.Routed {
		cmd.Args = append(cmd.Args, "-gateway", at.lab.Kernel.Address.Addr().String())
	}
	if s.Client != OurLoad { // which is then what is measured
		child.Profiled(cmd, r.Profile)
	}
	if at.server, err = start(at.lab.Stack, cmd); err != nil {
		return ready, err
	}
	if err = at.server.Next(ctx, "ready", patience, &ready); err != nil {
		err = fmt.Errorf("%s: %w", s.Name, err)
	} else {
		err = at.lab.WaitCarrier() // a card's link may be away for a while when a program has been attached
	}
	if err != nil {
		at.server.Stop()
	}
	at.serverPID = ready.PID
	return ready, err
}

// measureAll measures the server with every kind of work. The error is that of the context.
func (r *Runner) measureAll(ctx context.Context, at *arena, s *Server, works []Work, runs map[string]result.Run) error {
	for _, w := range works {
		if s.Client != "" {
			w.Client = s.Client
		}
		w.Conns *= len(at.clientCPUs)
		run, err := r.measure(ctx, at, w)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			run = result.Run{Failed: err.Error()}
		}
		if s.Free || s.Pairs > 0 { // neither processor is one side's alone
			run.Server.Core, run.Client.Core = 0, 0
		}
		runs[w.Name] = run
	}
	return nil
}

// addCounters ends the server and adds what it, and the hop, counted to the runs.
func (r *Runner) addCounters(ctx context.Context, at *arena, s *Server, hop *child.Process, runs map[string]result.Run) error {
	at.server.Release()
	var counters map[string]float64
	if err := at.server.Next(ctx, child.KindDone, patience, &counters); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	extra := make(map[string]float64)
	for name, v := range counters {
		extra["server_"+name] = v
	}
	if hop != nil {
		if err := r.explain(ctx, at.lab, *s, hop, extra); err != nil {
			return err
		}
	}
	for w, run := range runs {
		if run.Extra == nil {
			run.Extra = make(map[string]float64)
		}
		maps.Copy(run.Extra, extra)
		run.GC = at.server.GC()
		runs[w] = run
	}
	return nil
}

// start starts a child inside a namespace: a process is where the thread is that starts it.
func start(side *netlab.Side, cmd *exec.Cmd) (p *child.Process, err error) {
	err = side.Do(func() error {
		p, err = child.Start(cmd)
		return err
	})
	return p, err
}

// command prepares this executable as a child.
func (r *Runner) command(threads int, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), "/proc/"+strconv.Itoa(os.Getpid())+"/exe", args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(threads), "GOTRACEBACK=single")
	return cmd
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

func join(cpus []int) string {
	text := make([]string, len(cpus))
	for i, c := range cpus {
		text[i] = strconv.Itoa(c)
	}
	return strings.Join(text, ",")
}

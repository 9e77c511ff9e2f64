package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/gvisor"
	"github.com/xdpstack/xdpstack/bench/internal/kernel"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/ours"
	"github.com/xdpstack/xdpstack/bench/internal/program"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
	"github.com/xdpstack/xdpstack/bench/internal/xdp"
)

// serve is the child that plays a server.
func serve(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	kind := fs.String("kind", "", "which server")
	ifname := fs.String("interface", "", "its interface")
	address := fs.String("address", "", "its address and prefix length")
	var cpus processors
	fs.Var(&cpus, "cpus", "the processors of its shards; a single one is what all of it is bound to")
	prefer := fs.Bool("prefer", false, "put it before ordinary processes")
	congestion := fs.String("congestion", app.CongestionControl, "the congestion control, of xdpstack's and the kernel's servers")
	spin := fs.Duration("spin", 0, "how long xdpstack's server polls before it sleeps; 0: its default, negative: not at all")
	zeroCopy := fs.Bool("zero-copy", false, "xdpstack's server insists on zero-copy; else frames are copied")
	var gateway netip.Addr
	fs.TextVar(&gateway, "gateway", gateway, "the next hop to other networks, of xdpstack's and gVisor's servers; default none")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	addr, err := netip.ParsePrefix(*address)
	if err != nil {
		return nil, err
	}
	if err := place(cpus.single(), *prefer); err != nil {
		return nil, err
	}
	switch *kind {
	case "xdpstack", "xdpstack-shield", "xdpstack-asavie", "xdpstack-nethttp", "xdpstack-iperf3", watchedKind:
		return serveOurs(ctx, emit, *kind, ours.ServerConfig{
			Interface: *ifname, Address: addr, Congestion: *congestion, Spin: *spin, CPUs: cpus.several(),
			ZeroCopy: *zeroCopy, Gateway: gateway,
		})
	case "gvisor-xdp":
		return serveGVisor(ctx, emit, gvisor.AFXDP, *ifname, addr, gateway)
	case "gvisor-packet":
		return serveGVisor(ctx, emit, gvisor.AFPacket, *ifname, addr, gateway)
	case "kernel", "kernel-xdp":
		return serveKernel(ctx, emit, *kind == "kernel-xdp", *ifname, addr, *congestion)
	case "go-nethttp":
		return serveGo(ctx, emit, addr, app.ServeNetHTTP)
	case "go-net":
		return serveGo(ctx, emit, addr, kernel.ServeGoNet)
	case "nginx":
		return serveProgram(ctx, emit, addr, kernel.StartNginx)
	case "proxy-xdpstack", "proxy-nginx", "proxy-haproxy":
		return serveProxy(ctx, emit, *kind, ours.ServerConfig{
			Interface: *ifname, Address: addr, Congestion: *congestion, Spin: *spin, CPUs: cpus.several(),
		})
	case "iperf3":
		return serveIPerf3(ctx, emit)
	}
	return nil, fmt.Errorf("no server of kind %q", *kind)
}

// processors is a flag with numbers of processors.
type processors []int

// String writes the flag.
func (p *processors) String() string { return fmt.Sprint([]int(*p)) }

// Set reads it.
func (p *processors) Set(text string) error {
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(f)
		if err != nil {
			return err
		}
		*p = append(*p, n)
	}
	return nil
}

// single is the processor that a whole process is bound to, or -1.
func (p processors) single() int {
	if len(p) == 1 {
		return p[0]
	}
	return -1
}

// several are the processors of shards, nil unless there is more than one.
func (p processors) several() []int {
	if len(p) > 1 {
		return p
	}
	return nil
}

func place(cpu int, prefer bool) error {
	if prefer {
		if err := child.Prefer(endPriority); err != nil {
			return err
		}
	}
	if cpu < 0 {
		return nil
	}
	return child.Pin(cpu)
}

func serveGVisor(
	ctx context.Context, emit child.Emit, l gvisor.Link, ifname string, addr netip.Prefix, gateway netip.Addr,
) (any, error) {
	s, err := gvisor.NewServer(l, ifname, addr)
	if err != nil {
		return nil, err
	}
	if gateway.IsValid() {
		s.Route(addr, gateway)
	}
	if err := emit("ready", veth.Ready{Mode: string(l)}); err != nil {
		return nil, err
	}
	s.Run(ctx)
	return s.Counters(), s.Close()
}

func serveKernel(
	ctx context.Context, emit child.Emit, withXDP bool, ifname string, addr netip.Prefix, congestion string,
) (_ any, err error) {
	mode := "no XDP"
	if withXDP {
		iface, err := net.InterfaceByName(ifname)
		if err != nil {
			return nil, err
		}
		prog, err := xdp.Pass(iface.Index)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, prog.Close()) }()
		mode = "XDP_PASS, native"
	}
	s, err := kernel.NewServer(addr.Addr().As4(), congestion)
	if err != nil {
		return nil, err
	}
	if err := emit("ready", veth.Ready{Mode: mode}); err != nil {
		return nil, err
	}
	if err := s.Run(ctx); err != nil {
		return nil, err
	}
	return map[string]float64{}, s.Close()
}

// serveGo answers HTTP requests on the kernel's TCP by one of Go's ways to do so.
func serveGo(ctx context.Context, emit child.Emit, addr netip.Prefix, on func(net.Listener) error) (any, error) {
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(addr.Addr(), app.HTTPPort).String())
	if err != nil {
		return nil, err
	}
	go func() { _ = on(ln) }() // until the listener is closed
	if err := emit("ready", veth.Ready{Mode: "no XDP"}); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return map[string]float64{}, ln.Close()
}

func serveProgram(
	ctx context.Context, emit child.Emit, addr netip.Prefix, start func(context.Context, netip.Addr) (*kernel.Program, error),
) (any, error) {
	n, err := start(ctx, addr.Addr())
	if err != nil {
		return nil, err
	}
	defer n.Close()
	if err := emit("ready", veth.Ready{Mode: "no XDP", PID: n.PID()}); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return map[string]float64{}, nil
}

func serveIPerf3(ctx context.Context, emit child.Emit) (any, error) {
	p, err := kernel.StartIPerf3()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := emit("ready", veth.Ready{Mode: "no XDP", PID: p.PID()}); err != nil {
		return nil, err
	}
	<-ctx.Done()
	return map[string]float64{}, nil
}

// drive is the child that plays the client.
func drive(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	var cfg ours.ClientConfig
	work := fs.String("work", "", "what to ask of the server")
	by := fs.String("client", "", "whose TCP: kernel or xdpstack; or xdpstack-load, or a program")
	fs.StringVar(&cfg.Interface, "interface", "", "interface of xdpstack's client")
	own := fs.String("own", "", "address and prefix length of xdpstack's client")
	fs.DurationVar(&cfg.Spin, "spin", 0, "how long xdpstack's client polls before it sleeps; negative: not at all")
	fs.BoolVar(&cfg.ZeroCopy, "zero-copy", false, "xdpstack's client insists on zero-copy; else frames are copied")
	address := fs.String("address", "", "the server's address")
	var cpus processors
	fs.Var(&cpus, "cpus", "the processors of its shards; a single one is what all of it is bound to")
	prefer := fs.Bool("prefer", false, "put it before ordinary processes")
	fs.IntVar(&cfg.Conns, "conns", 1, "connections at a time")
	fs.StringVar(&cfg.Congestion, "congestion", app.CongestionControl, "the congestion control of bulk work")
	fs.DurationVar(&cfg.Warmup, "warmup", 0, "time before the window")
	fs.DurationVar(&cfg.Window, "window", 0, "measured time")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddr(*address)
	if err != nil {
		return nil, err
	}
	cfg.Work, cfg.Addr = load.Work(*work), addr.As4()
	if err := place(cpus.single(), *prefer); err != nil {
		return nil, err
	}
	cfg.CPUs = cpus.several()
	ready := func() { _ = emit("ready", nil) } // a parent that is gone ends us anyway
	mark := func(start bool) {
		kind := "stop"
		if start {
			kind = "start"
		}
		_ = emit(kind, nil)
	}
	var r load.Result
	switch c := veth.Client(*by); {
	case c == veth.OurClient || c == veth.OurLoad:
		if cfg.Address, err = netip.ParsePrefix(*own); err != nil {
			return nil, err
		}
		run := ours.RunClient
		if c == veth.OurLoad {
			run = ours.RunLoad
		}
		r, err = run(ctx, cfg, ready, mark)
	case program.Known(*by):
		r, err = program.Run(ctx, *by, cfg.Config, ready, mark)
	default:
		r, err = load.Run(ctx, cfg.Config, ready, mark)
	}
	if err != nil {
		return nil, err
	}
	if err := emit("result", r); err != nil {
		return nil, err
	}
	<-ctx.Done() // the parent still reads this process's CPU clock
	return nil, nil
}

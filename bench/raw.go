package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/veth"
)

// raw is the child that plays one end of the raw benchmarks. With further arguments it becomes the program that they name.
func raw(ctx context.Context, emit child.Emit, args []string) (any, error) {
	fs := flag.NewFlagSet("raw", flag.ContinueOnError)
	var cfg rawlink.Config
	fs.StringVar((*string)(&cfg.Role), "role", "", "what it does")
	fs.StringVar(&cfg.Driver, "driver", "", "AF_XDP driver")
	fs.StringVar(&cfg.Interface, "interface", "", "this end's interface")
	fs.IntVar(&cfg.Size, "size", 0, "bytes of a frame")
	fs.BoolVar(&cfg.ZeroCopy, "zero-copy", false, "insist on zero-copy; else frames are copied")
	fs.StringVar((*string)(&cfg.Arrival), "arrival", "", "who notes when frames come, of role measure: worker or xdp; default nobody")
	fs.BoolVar(&cfg.Sign, "sign", false, "give frames signatures, of role feed")
	fs.Float64Var(&cfg.Rate, "rate", 0, "frames a second that it sends; 0: as many as it can")
	to := fs.String("to", "", "hardware address of the other end")
	fs.TextVar(&cfg.Src, "src", netip.Addr{}, "the sender's address")
	fs.TextVar(&cfg.Dst, "dst", netip.Addr{}, "the receiver's address")
	cpu := fs.Int("cpu", -1, "the processor it is bound to")
	fs.DurationVar(&cfg.Warmup, "warmup", 0, "time before the window")
	fs.DurationVar(&cfg.Window, "window", 0, "measured time")
	err := fs.Parse(args)
	if err == nil {
		cfg.To, err = net.ParseMAC(*to)
	}
	if err == nil {
		err = place(*cpu, false)
	}
	if err != nil {
		return nil, err
	}
	report := func(kind string) { _ = emit(kind, nil) }
	if cfg.Role == rawlink.Foreign {
		r, err := rawlink.RunForeign(ctx, &cfg, fs.Args(), report)
		if err != nil {
			return nil, err
		}
		return r, last(ctx, emit, r)
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("start %s: %w", fs.Arg(0), unix.Exec(fs.Arg(0), fs.Args(), os.Environ()))
	}
	r, err := rawlink.Run(ctx, cfg, report)
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	return r, last(ctx, emit, r)
}

// last tells the result, and waits, because the parent still reads this process's CPU clock.
func last(ctx context.Context, emit child.Emit, r rawlink.Result) error {
	if err := emit("result", r); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// programC is the kind of the side that is the program in C; the others are drivers.
const programC = "C"

// rawGroup is AF_XDP without a stack. The link's limit is among it: no stack can receive more than what is received and dropped.
func rawGroup() *group {
	g := &group{
		sides: []side{
			{name: ourName, setup: "native driver; GOMAXPROCS 1", kind: afxdp.DriverNative},
			{name: "asavie", setup: "asavie driver; GOMAXPROCS 1", kind: afxdp.DriverAsavie},
			{name: "C", setup: "libxdp, the same rings and batches", kind: programC, need: rawlink.CanCompile},
		},
		need:    needLab,
		repeats: func(t *times) int { return (t.repeats + 1) / 2 },
		takes:   func(t *times, n int) time.Duration { return time.Duration(n) * (t.warmup + t.rawWindow + time.Second) },
	}
	works := make(map[string]rawlink.Config)
	for _, w := range []struct {
		role rawlink.Role
		what string
	}{{rawlink.Drop, "received and dropped"}, {rawlink.Send, "sent"}, {rawlink.Forward, "received and sent back"}} {
		for _, size := range []int{64, 1514} {
			b := benchmark{
				name: fmt.Sprintf("raw-%s-%d", w.role, size), row: "7", unit: "Mpps",
				title:   fmt.Sprintf("raw AF_XDP, frames of %d bytes %s", size, w.what),
				targets: []result.Target{{Against: "C", AtLeast: 0.97}, {Against: "asavie", AtLeast: 1}},
			}
			works[b.name] = rawlink.Config{Role: w.role, Size: size}
			g.benchmarks = append(g.benchmarks, b)
		}
	}
	g.run = func(ctx context.Context, s *session, t turn) map[string]result.Run {
		runs := make(map[string]result.Run)
		driver, program := t.side.kind, ""
		if t.side.kind == programC {
			dir, err := os.MkdirTemp("", "bench-raw-")
			if err == nil {
				defer func() { _ = os.RemoveAll(dir) }()
				driver = ""
				program, err = rawlink.Compile(dir, rawlink.XDP)
			}
			if err != nil {
				for _, n := range t.names {
					runs[n] = result.Run{Failed: err.Error()}
				}
				return runs
			}
		}
		for _, n := range t.names {
			cfg := works[n]
			cfg.Driver, cfg.Program = driver, program
			runs[n] = s.runner().Raw(ctx, cfg)
		}
		return runs
	}
	return g
}

// limits are the raw benchmarks that bulk data is limited by.
var limits = map[string]string{"bulk-receive": "raw-drop-1514", "bulk-send": "raw-send-1514"}

// relateToLimit says how close the bulk benchmarks come to the link's limit: payload bits of our driver's raw frames.
func relateToLimit(found map[string]*result.Benchmark) {
	for bulk, name := range limits {
		b, raw := found[bulk], found[name]
		if b == nil || raw == nil || raw.Skipped != "" || raw.Side(ourName).Value.N == 0 {
			continue
		}
		limit := raw.Side(ourName).Value.Median * veth.RawPayload * 8 / 1000 // Gbit/s
		b.Notes = append(b.Notes, fmt.Sprintf("the limit of this link is %.2f Gbit/s of TCP payload, %d bytes a frame", limit,
			veth.RawPayload))
		for _, side := range b.Sides {
			for i := range side.Runs {
				if r := &side.Runs[i]; r.Failed == "" && r.Extra != nil {
					r.Extra[ofLimit] = r.Value / limit * 100
				}
			}
		}
	}
}

// ofLimit is the figure that says what part of the link's limit bulk data reaches.
const ofLimit = "of limit %"

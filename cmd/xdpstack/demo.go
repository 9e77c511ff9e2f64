package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/demo"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// The bulk transfers' sizes unless --bulk says another: in memory both stacks, and the hashing, share the CPUs.
const (
	bulkVeth   = 1 << 30
	bulkMemory = 256 << 20
)

type demoCommand struct {
	streams
	driver  driverFlags
	insists string // the flag that only AF_XDP can follow, if one was given
	network string
	bulk    size
	cfg     demo.Config
	asJSON  bool
}

func newDemo(io streams) *cobra.Command {
	d := &demoCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole of it on a network of its own",
		Long: `Makes two network namespaces joined by a veth pair, starts the stack on one end through XDP and AF_XDP, and
drives it from the other end with the kernel's own TCP: ping, HTTP requests, many connections at once, and
bulk transfers in both directions, compared byte by byte and by SHA-256. Ends with a table; removes what it made.

Without root, or where the kernel has no AF_XDP, the same jobs run between two instances of the stack that are
joined in memory. It says which of the two it is. With --driver, --mode or --attach it is AF_XDP or an error.`,
		Example: "  sudo xdpstack demo\n  sudo xdpstack demo --bulk 8GiB --driver asavie\n  xdpstack demo --network memory --json",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.insists = d.driver.given(cmd)
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&d.network, "network", string(demo.Auto), "auto, veth (AF_XDP, needs root) or memory")
	cmd.Flags().Var(&d.bulk, "bulk", "bytes of the bulk transfer in each direction (default 1GiB, in memory 256MiB)")
	cmd.Flags().DurationVar(&d.cfg.Duration, "duration", 3*time.Second, "how long to send HTTP requests")
	cmd.Flags().IntVar(&d.cfg.Clients, "clients", 16, "connections that send HTTP requests")
	cmd.Flags().IntVar(&d.cfg.Connections, "connections", 1000, "connections open at once")
	cmd.Flags().IntVar(&d.cfg.Pings, "pings", 100, "echo requests")
	cmd.Flags().BoolVar(&d.asJSON, "json", false, "write the report as JSON instead of a table")
	d.driver.register(cmd)
	choices(cmd, "network", string(demo.Auto), string(demo.Veth), string(demo.Memory))
	return cmd
}

// world returns what the flags ask for.
func (d *demoCommand) world() (demo.WorldConfig, error) {
	w := demo.WorldConfig{Kind: demo.Kind(d.network)}
	switch w.Kind {
	case demo.Auto, demo.Veth, demo.Memory:
	default:
		return w, usagef("--network %s: want auto, veth or memory", d.network)
	}
	var err error
	if w.AFXDP, err = d.driver.options(); err != nil {
		return w, err
	}
	if d.insists != "" {
		if w.Kind == demo.Memory {
			return w, usagef("--network memory has no AF_XDP, which %s is about", d.insists)
		}
		w.Kind = demo.Veth
	}
	for name, v := range map[string]int{"--clients": d.cfg.Clients, "--connections": d.cfg.Connections, "--pings": d.cfg.Pings} {
		if v < 1 || v > 50000 {
			return w, usagef("%s %d: want 1 to 50000", name, v)
		}
	}
	if d.cfg.Duration < time.Millisecond {
		return w, usagef("--duration %v: want 1ms or more", d.cfg.Duration)
	}
	return w, nil
}

func (d *demoCommand) run(ctx context.Context) (err error) {
	wc, err := d.world()
	if err != nil {
		return err
	}
	if swept, sweepErr := netlab.Sweep(); sweepErr == nil && len(swept) > 0 {
		fmt.Fprintf(d.err, "removed what a killed run left behind: %s\n", strings.Join(swept, ", "))
	}
	w, err := demo.Open(wc)
	if err != nil {
		if d.insists != "" {
			err = fmt.Errorf("%w; %s asks for AF_XDP: without it, the demo falls back to a network in memory", err, d.insists)
		}
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	cfg := d.cfg
	if cfg.Bulk = int64(d.bulk); cfg.Bulk == 0 {
		cfg.Bulk = bulkVeth
		if w.Kind == demo.Memory {
			cfg.Bulk = bulkMemory
		}
	}
	d.introduce(w)
	report, err := demo.Run(ctx, w, cfg, newProgress(d.err))
	if ctx.Err() != nil {
		fmt.Fprintln(d.err, "interrupted; removing the network")
		return errReported
	}
	if err != nil {
		return err
	}
	if d.asJSON {
		return writeJSON(d.out, report)
	}
	d.table(report)
	return nil
}

// introduce says which of the two it is.
func (d *demoCommand) introduce(w *demo.World) {
	fmt.Fprintf(d.err, "This is %s.\n", w.Title)
	if w.Reason != "" {
		fmt.Fprintf(d.err, "Not AF_XDP, because: %s.\n", w.Reason)
	}
	fmt.Fprintf(d.err, "Device: %s.\n\n", w.Device)
}

func (d *demoCommand) table(r *demo.Report) {
	t := newTable(d.out, nil)
	row := func(name, format string, args ...any) { t.AppendRow(table.Row{name, fmt.Sprintf(format, args...)}) }
	network := "AF_XDP on veth, against the kernel's TCP"
	if r.Kind == demo.Memory {
		network = "in memory, against itself; not AF_XDP"
	}
	row("network", "%s", network)
	row("device", "%s", r.Device)
	t.AppendSeparator()
	row("ping", "%d sent, %d lost; %s", r.Ping.Sent, r.Ping.Lost, latency(r.Ping.Latency))
	row("HTTP keep-alive", "%.0f requests/s on %d connections", r.Requests.Rate, r.Requests.Clients)
	row("", "%s", latency(r.Requests.Latency))
	row("connections", "%d open at once, opened in %v", r.Conns.Open, r.Conns.Opening.Round(time.Millisecond))
	row("", "connect: %s", latency(r.Conns.Connect))
	row("echo on all", "%.0f round trips/s", r.Conns.EchoRate)
	row("", "%s", latency(r.Conns.RoundTrip))
	bulk := func(name string, b *demo.Bulk) {
		row(name, "%.2f Gbit/s of payload: %s in %v, every byte compared", b.BitRate/1e9, formatBytes(b.Bytes),
			b.Duration.Round(time.Millisecond))
		row("", "%.2f Gbit/s with SHA-256 computed on the way: %s… is right", b.HashedBitRate/1e9, b.SHA256[:16])
	}
	bulk("client to stack", r.Upload)
	bulk("stack to client", r.Download)
	row("", "(SHA-256 alone: %.2f Gbit/s on this machine)", r.HashRate*8/1e9)
	t.AppendSeparator()
	row("frames", "%d received in %d batches (%.1f each), %d sent", r.Frames.Received, r.Frames.Batches,
		float64(r.Frames.Received)/float64(max(r.Frames.Batches, 1)), r.Frames.Sent)
	row("allocations", "%.4f a segment client to stack, %.4f stack to client", r.Upload.Allocs, r.Download.Allocs)
	row("", "(of the whole process during the transfer: stack, client and this display)")
	if len(r.Drops) == 0 {
		row("dropped", "nothing")
	}
	for i, m := range r.Drops {
		row([]string{"dropped", ""}[min(i, 1)], "%d %s: %s", m.Value, m.Name, m.Help)
	}
	fmt.Fprintln(d.out)
	t.Render()
}

// latency writes a distribution on one line.
func latency(l demo.Latency) string {
	us := func(d time.Duration) string { return fmt.Sprint(d.Round(time.Microsecond)) }
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", us(l.P50), us(l.P90), us(l.P99), us(l.P999), us(l.Max))
}

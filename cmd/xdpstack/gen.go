package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/gen/rate"
)

// genCommand sends packets of templates.
type genCommand struct {
	streams
	driver driverFlags
	permit permitFlags
	source genSource
	pace   genRate

	iface     string
	queues    []int
	cpus      []int
	spin      time.Duration
	batch     int
	stamps    int
	tolerance string
	print     int
	pcapOut   string
	hdr       string
	asJSON    bool
	back      genBack
}

func newGen(io streams) *cobra.Command {
	g := &genCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "gen -i IFACE {TEMPLATE... | --profile FILE | --replay FILE | --receive}",
		Short: "Send packets of templates, or of a capture, at an exact rate",
		Long: `Sends packets as templates say, at the rate that is asked for, without a connection: from one thread for each
queue, through AF_XDP. Each second it prints what was sent; at the end, or when it is interrupted, a summary.

A template is a list of layers with fields, whose values may be ranges or lists; a profile is a file with templates;
docs/profiles.md has all of it. A capture is replayed at its own times, scaled, or at a rate.
Packets go to the hardware address of --dst-mac, or to that of the first target or its gateway, as the kernel's
tables or ARP say. Targets outside the interface's own networks need --allow or --i-own-this-network.

Rates: 10kpps, 2Gbit (frames with FCS, layer 2), 2Gbit-l1 (with preamble and gap), 40% of the line, max. What could
not leave in time is made up for, up to --catch-up, and counted as missed beyond that. The exit code is 0 even if
packets were missed, unless --tolerance says how many may be. docs/gen.md tells more.

The other end is gen --receive, which measures what a gen sends here: loss, duplicates, reordering, one-way latency;
with --count it knows how many were sent. With --round-trip a sender measures what comes back, from xdpstack reflect
for example. What comes is what is sent to -a ADDR/LEN, an address that nobody has, for which it answers ARP; or as
--port and --all say. --tolerance is then about what was lost. docs/measure.md says what each number means.`,
		Example: `  sudo xdpstack gen -i eth0 udp,dst=192.0.2.20,dport=9 --rate 100kpps --duration 10s
  sudo xdpstack gen -i eth0 udp,src=192.0.2.100-192.0.2.199,dst=192.0.2.20,sport=1024-65535,size=imix --rate 40%
  sudo xdpstack gen -i eth0 tcp,dst=192.0.2.20,dport=80,flags=syn --rate max --count 1000000 --queues 0,1 --cpus 2,3
  sudo xdpstack gen -i eth0 --profile office.toml --duration 1m
  sudo xdpstack gen -i eth0 --replay trace.pcapng --speed 2x --loop 0 --dst-mac 02:00:00:00:00:01
  sudo xdpstack gen -i eth0 udp,dst=192.0.2.20 --ramp 10kpps..1Mpps/30s --tolerance 0.1% --json >gen.json
  sudo xdpstack gen -i eth0 --receive -a 192.0.2.20/24 --idle 2s
  sudo xdpstack gen -i eth0 -a 192.0.2.10/24 udp,dst=192.0.2.20 --rate 100kpps --duration 10s --round-trip
  xdpstack gen --print 3 vlan=7/udp,dst=192.0.2.20,sport=1-3`,
		RunE: func(cmd *cobra.Command, args []string) error {
			g.source.templates = args
			g.pace.changed = cmd.Flags().Changed
			return g.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&g.iface, "interface", "i", "", "network interface (required)")
	g.source.register(cmd)
	g.pace.register(cmd)
	f.IntSliceVar(&g.queues, "queues", []int{0}, "queues to send from, each with a worker")
	f.IntSliceVar(&g.cpus, "cpus", nil, "CPU of each worker (default any)")
	f.DurationVar(&g.spin, "spin", 50*time.Microsecond, "how long before a departure to poll the clock; 0: sleep only, and be later")
	f.IntVar(&g.batch, "batch", 0, "packets that are handed over at a time, at most (default 64; 256 with --rate max)")
	f.IntVar(&g.stamps, "tx-stamps", 0, "ask the driver when it sends one packet in so many, to measure jitter (default none)")
	f.StringVar(&g.tolerance, "tolerance", "", "exit with 1 if more than this share of packets did not leave: 0.1% (default: only tell)")
	f.IntVar(&g.print, "print", 0, "print so many packets and send none; needs no root")
	f.StringVar(&g.pcapOut, "pcap-out", "", "write the packets to this file in place of sending them, with the times of the schedule")
	f.StringVar(&g.hdr, "hdr", "", "write an HdrHistogram log, with an interval for each second, to a file or -")
	g.back.register(cmd)
	f.BoolVar(&g.asJSON, "json", false, "write the result as JSON, in place of lines and tables")
	g.driver.register(cmd)
	g.permit.register(cmd)
	if err := cmd.RegisterFlagCompletionFunc("interface", completeInterface); err != nil {
		panic(err)
	}
	return cmd
}

func (g *genCommand) run(ctx context.Context) error {
	tolerance, err := parseShare(g.tolerance)
	if err != nil {
		return err
	}
	if err := g.back.check(g); err != nil {
		return err
	}
	if g.back.receive {
		return g.runReceive(ctx, tolerance)
	}
	if err := g.source.parse(g.pace.given()); err != nil {
		return err
	}
	if err := g.pace.adopt(g.source.read); err != nil {
		return err
	}
	if r := &g.source.replay; r.capture != nil && r.scale == 0 {
		if !g.pace.given() {
			g.pace.rate = rate.Max
		}
		if !g.pace.changed("count") {
			g.pace.count = r.packets()
		}
	}
	if g.print > 0 || g.pcapOut != "" {
		return g.write()
	}
	info, err := g.prepare(ctx)
	if err != nil {
		return err
	}
	iface, err := g.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, iface.Close()) }()
	e, err := g.engine(iface, &info)
	if err != nil {
		return err
	}
	result, err := g.follow(ctx, e, iface)
	if err != nil {
		return err
	}
	if g.back.roundTrip {
		if err := tooMuchLost(&g.back.result, tolerance, g.tolerance); err != nil {
			return err
		}
	}
	if share := missedShare(result); tolerance >= 0 && share > tolerance {
		return fmt.Errorf("%.4g%% of the packets did not leave in time, more than the %s of --tolerance", share*100, g.tolerance)
	}
	return nil
}

// prepare does what can be done, and found wrong, before the interface is touched.
func (g *genCommand) prepare(ctx context.Context) (info afxdp.Info, err error) {
	switch {
	case g.iface == "":
		return info, usagef("which interface? give -i IFACE")
	case len(g.queues) == 0:
		return info, usagef("--queues: want one at least")
	case len(g.cpus) != 0 && len(g.cpus) != len(g.queues):
		return info, usagef("--cpus: want one for each of the %d queues", len(g.queues))
	case g.batch < 0 || g.batch > 2048:
		return info, usagef("--batch %d: want 1 to 2048", g.batch)
	case g.stamps < 0:
		return info, usagef("--tx-stamps %d: want a number of packets", g.stamps)
	case g.spin < 0:
		return info, usagef("--spin %v: want a time", g.spin)
	}
	if info, err = afxdp.Discover(g.iface); err != nil {
		return info, err
	}
	if err := g.pace.check(&info); err != nil {
		return info, err
	}
	g.source.address(&info)
	if err := g.permit.check(g.iface, g.source.own(), g.source.targets()...); err != nil {
		return info, err
	}
	if _, err := g.source.programs(&info, len(g.queues)); err != nil { // before ARP: it may take a while to find that nobody answers
		return info, err
	}
	return info, g.source.resolve(ctx, &info)
}

func (g *genCommand) open() (*afxdp.Interface, error) {
	o, err := g.driver.options()
	if err != nil {
		return nil, err
	}
	o.Queues, o.SendOnly, o.KeepProcessor = g.queues, !g.back.roundTrip, true
	if g.stamps > 0 {
		o.TxStamps = 4096
	}
	if g.back.roundTrip {
		return g.openBack(o)
	}
	return afxdp.Open(g.iface, o, bpf.Config{})
}

// engine makes the engine. The workers never sleep at high rates, so there must be processors, as Go counts them, for the others.
func (g *genCommand) engine(iface *afxdp.Interface, info *afxdp.Info) (*engine.Engine, error) {
	sources, err := g.source.programs(info, len(g.queues))
	if err != nil {
		return nil, err
	}
	cfg := engine.Config{
		Queues: iface.Queues(), Sources: sources, Rate: g.pace.config(), Spin: g.spin, CPUs: g.cpus, Batch: g.batch,
		StampEvery: g.stamps,
	}
	if g.back.roundTrip {
		cfg.Receivers, cfg.Linger = g.back.receivers(), g.back.linger
	}
	if g.spin == 0 {
		cfg.Spin = -1
	}
	if need := len(g.queues) + 2; runtime.GOMAXPROCS(0) < need {
		runtime.GOMAXPROCS(need)
	}
	return engine.New(cfg)
}

// own is the network that the user says the generator is on.
func (s *genSource) own() []netip.Prefix {
	if s.ownText != "" {
		return []netip.Prefix{s.from}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/gen/receive"
	"github.com/xdpstack/xdpstack/gen/rfc2544"
	"github.com/xdpstack/xdpstack/gen/rfc2544/link"
	"github.com/xdpstack/xdpstack/internal/permit"
)

type rfc2544Command struct {
	streams
	driver             driverFlags
	permit             permitFlags
	iface, to          string
	reflected          bool
	source, target     string
	targetMAC, gateway string
	sourcePort         string
	queues             int

	tests, sizes, search           string
	ndr                            bool
	pdr, width, lossStep, short    share
	standard                       bool
	trial, wait, settle, limitTime time.Duration
	latencyTrial, burst            time.Duration
	latencyTrials, bursts          int
	line                           string
	maxRate                        rate.Rate
	asJSON, asCSV                  bool
}

func newRFC2544(io streams) *cobra.Command {
	c := &rfc2544Command{streams: io}
	cmd := &cobra.Command{
		Use:   "rfc2544 -i IFACE {--to IFACE2 | --reflected --target ADDR}",
		Short: "Benchmark a network by RFC 2544: throughput, latency, frame loss, back-to-back",
		Long: `Sends frames into a network device or a path and measures what comes out: with --to on another interface of this
machine, with --reflected on the same one, where "xdpstack reflect" or another reflector on the far side sends the
frames back. For each frame size it searches the highest rate without loss (throughput), measures the latency at that
rate, the loss from the highest rate down, and the longest burst that gets through.

Trials are 5 s long unless --trial says otherwise. That is a first look: RFC 2544 wants 60 s, and --standard keeps all
of its times and numbers, which takes hours. What deviates from the RFC is listed under the results.

What comes to the interface that receives is this program's as long as it runs, and nobody else's.`,
		Example: `  sudo xdpstack rfc2544 -i eth1 --to eth2 --line-rate 10G
  sudo xdpstack rfc2544 -i eth1 --to eth2 --search mlr --ndr --pdr 0.5% --sizes 64,imix --tests throughput,latency
  sudo xdpstack rfc2544 -i eth1 --reflected --target 192.0.2.7 --source 192.0.2.8 --sizes 64,512,1518 --json
  sudo xdpstack rfc2544 -i eth1 --to eth2 --standard --csv >result.csv`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context(), cmd) },
	}
	c.register(cmd)
	return cmd
}

func (c *rfc2544Command) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&c.iface, "interface", "i", "", "interface that sends (required)")
	f.StringVar(&c.to, "to", "", "interface that receives what comes out of the network")
	f.BoolVar(&c.reflected, "reflected", false, "the frames come back to the interface that sends them")
	f.StringVar(&c.source, "source", "", "source address of the frames (default the interface's own, or 198.18.0.1)")
	f.StringVar(&c.target, "target", "", "destination address of the frames (default with --to that of IFACE2, or 198.19.0.1)")
	f.StringVar(&c.targetMAC, "target-mac", "", "destination MAC address: a router's, for example (default that of IFACE2 or of --target)")
	f.StringVar(&c.gateway, "gateway", "", "router that frames go to, whose MAC address is asked for")
	f.StringVar(&c.sourcePort, "source-port", "1024", "source port of the frames, or a range, for as many flows: 1024-2047")
	f.IntVar(&c.queues, "queues", 1, "queues that send with --to, each with a thread; with --reflected all do")
	f.StringVar(&c.tests, "tests", "all", "throughput,latency,loss,back-to-back, or all")
	f.StringVar(&c.sizes, "sizes", "all", "bytes of the frames, with FCS: 64,1518,imix; all: the RFC's, 9000 and imix")
	f.StringVar(&c.search, "search", string(rfc2544.Binary), "search for throughput: binary, or mlr (RFC 9971), with several goals")
	f.BoolVar(&c.ndr, "ndr", false, "search the rate at which no frame is lost, with mlr: two of three trials decide")
	f.Var(&c.pdr, "pdr", "search the rate at which this share is lost at most, with mlr: 0.5%")
	f.Var(&c.width, "width", "how close the bounds of a throughput are in the end (default 0.5%)")
	f.Var(&c.lossStep, "loss-step", "distance of the rates of the frame loss test (default 10%)")
	f.BoolVar(&c.standard, "standard", false, "all times and numbers as RFC 2544 has them; other flags still change single ones")
	f.DurationVar(&c.trial, "trial", 0, "how long the frames of a trial are sent (default 5s, RFC 2544: 1m)")
	f.DurationVar(&c.wait, "wait", 0, "how long late frames are waited for (default 200ms, RFC 2544: 2s)")
	f.DurationVar(&c.settle, "settle", 0, "pause between trials (default 100ms, RFC 2544: 5s)")
	f.DurationVar(&c.latencyTrial, "latency-trial", 0, "how much `time` a trial of latency takes (default as --trial, RFC 2544: 2m)")
	f.IntVar(&c.latencyTrials, "latency-trials", 0, "trials of latency (default 3, RFC 2544: 20)")
	f.DurationVar(&c.burst, "burst", 0, "the longest burst that is tried, at the line's rate (default 1s, RFC 2544: 2s)")
	f.IntVar(&c.bursts, "bursts", 0, "searches for the longest burst (default 3, RFC 2544: 50)")
	f.DurationVar(&c.limitTime, "search-limit", 0, "bound on the `time` of the search for one size's throughput (default none)")
	f.Var(&c.short, "shortfall", "how far the sender may fall short of a rate: more on a busy machine (default 1%)")
	f.StringVar(&c.line, "line-rate", "", "rate of the medium: 10G (default the interface's speed)")
	f.Var(&c.maxRate, "max-rate", "highest rate that is tried: 1Mpps, 2Gbit-l1, 50% (default the line's)")
	f.BoolVar(&c.asJSON, "json", false, "write the report as JSON instead of tables")
	f.BoolVar(&c.asCSV, "csv", false, "write the report as CSV instead of tables")
	f.Lookup("max-rate").DefValue = "0" // the help shows no default then
	c.permit.register(cmd)
	c.driver.register(cmd)
	for _, flag := range []string{"interface", "to"} {
		if err := cmd.RegisterFlagCompletionFunc(flag, completeInterface); err != nil {
			panic(err)
		}
	}
	choices(cmd, "search", string(rfc2544.Binary), string(rfc2544.MLR))
	choices(cmd, "tests", "all", "throughput", "latency", "loss", "back-to-back")
	choices(cmd, "sizes", "all", "64", "imix", "64,512,1518")
}

// config returns what is to be done, but for the rates.
func (c *rfc2544Command) config() (cfg rfc2544.Config, err error) {
	if c.standard {
		cfg = rfc2544.Standard()
	}
	if cfg.Tests, err = rfc2544.ParseTests(c.tests); err != nil {
		return cfg, usagef("--tests: %w", err)
	}
	if cfg.Sizes, err = rfc2544.ParseSizes(c.sizes); err != nil {
		return cfg, usagef("--sizes: %w", err)
	}
	cfg.Method, cfg.NDR, cfg.PDR = rfc2544.Method(c.search), c.ndr, float64(c.pdr)
	cfg.Width, cfg.LossStep, cfg.Limits.Time = float64(c.width), float64(c.lossStep), c.limitTime
	cfg.Shortfall = float64(c.short)
	set := func(p *time.Duration, v time.Duration) {
		if v != 0 {
			*p = v
		}
	}
	set(&cfg.Trial, c.trial)
	set(&cfg.Wait, c.wait)
	set(&cfg.Settle, c.settle)
	set(&cfg.LatencyTrial, c.latencyTrial)
	set(&cfg.Burst, c.burst)
	if c.latencyTrials != 0 {
		cfg.LatencyTrials = c.latencyTrials
	}
	if c.bursts != 0 {
		cfg.Bursts = c.bursts
	}
	if err := cfg.Check(); err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// ends are the ports, and what the frames say.
type ends struct {
	link.Config
	gateway netip.Addr // whose MAC address is asked for; invalid: it is known
}

// check finds mistakes that need no interface to be looked at.
func (c *rfc2544Command) check() error {
	switch {
	case c.iface == "":
		return usagef("which interface? give -i IFACE")
	case c.to == "" && !c.reflected:
		return usagef("where do the frames come out? give --to IFACE2, or --reflected if they come back")
	case c.to != "" && c.reflected:
		return usagef("--to or --reflected: the frames come out at one place")
	case c.to == c.iface:
		return usagef("--to %s: that is where they are sent; if they come back there, say --reflected", c.to)
	case c.reflected && c.target == "":
		return usagef("which target? give --target ADDR, of who sends the frames back")
	case c.gateway != "" && c.targetMAC != "":
		return usagef("--gateway or --target-mac: frames go to one of them")
	case c.asJSON && c.asCSV:
		return usagef("--json or --csv")
	case c.queues < 1 || c.queues > 64:
		return usagef("--queues %d: want 1 to 64", c.queues)
	}
	return nil
}

// addresses finds out what the frames carry, and asks whether they may be sent.
func (c *rfc2544Command) addresses() (e ends, err error) {
	from, err := afxdp.Discover(c.iface)
	if err != nil {
		return e, err
	}
	e.Source, e.SourcePort = from.MAC, c.sourcePort
	var own []netip.Prefix
	target, mac := c.target, c.targetMAC
	if c.to != "" {
		to, err := afxdp.Discover(c.to)
		if err != nil {
			return e, err
		}
		own = append(own, to.Addresses...)
		target = first(target, to.Addresses, "198.19.0.1")
		if mac == "" && c.gateway == "" {
			mac = net.HardwareAddr(to.MAC[:]).String()
			// Nobody routes what is sent to an interface of this machine, so these addresses, which RFC 2544 appendix C.2.2 sets aside
			// for it, go nowhere else.
			own = append(own, netip.MustParsePrefix("198.18.0.0/15"))
		}
	}
	if e.SourceIP, err = parseIPv4("source", first(c.source, from.Addresses, "198.18.0.1")); err != nil {
		return e, err
	}
	if e.TargetIP, err = parseIPv4("target", target); err != nil {
		return e, err
	}
	if err := c.permit.check(c.iface, own, netip.PrefixFrom(e.TargetIP, 32)); err != nil {
		return e, err
	}
	if mac != "" {
		hw, err := net.ParseMAC(mac)
		if err != nil || len(hw) != 6 {
			return e, usagef("--target-mac %s: want a MAC address such as 02:00:00:00:00:01", mac)
		}
		e.Target = ethernet.Addr(hw)
		return e, nil
	}
	e.gateway = e.TargetIP
	if c.gateway != "" {
		e.gateway, err = parseIPv4("gateway", c.gateway)
	}
	return e, err
}

// first returns what was given, else the first IPv4 address of an interface, else a default.
func first(given string, of []netip.Prefix, otherwise string) string {
	if given != "" {
		return given
	}
	for _, p := range of {
		if p.Addr().Is4() {
			return p.Addr().String()
		}
	}
	return otherwise
}

func parseIPv4(flag, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return a, usagef("--%s %s: want an IPv4 address", flag, text)
	}
	return a, nil
}

// rates returns the medium's rate in bits a second, and sets the highest one that is tried.
func (c *rfc2544Command) rates(cfg *rfc2544.Config) (line float64, err error) {
	if c.line != "" {
		if line, err = parseLineRate(c.line); err != nil {
			return 0, err
		}
	} else if line = speed(c.iface); line == 0 {
		return 0, usagef("how fast is %s? its driver does not say: give --line-rate, for example 10G", c.iface)
	}
	if c.maxRate.Value == 0 {
		return line, nil
	}
	top, err := c.maxRate.Resolve(line)
	if err != nil {
		return 0, usagef("--max-rate: %w", err)
	}
	switch top.Unit {
	case rate.Packets:
		cfg.MaxRate = top.Value
	case rate.L1:
		cfg.MaxBits = top.Value
	default:
		return 0, usagef("--max-rate %v: want packets a second, bits of layer 1, or a share of the line: 1Mpps, 2Gbit-l1, 50%%", c.maxRate)
	}
	return line, nil
}

func (c *rfc2544Command) run(ctx context.Context, cmd *cobra.Command) error {
	if err := c.check(); err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	opt, err := c.driver.options()
	if err != nil {
		return err
	}
	e, err := c.addresses()
	if err != nil {
		return err
	}
	if e.Line, err = c.rates(&cfg); err != nil {
		return err
	}
	return c.measure(ctx, cfg, opt, e)
}

// measure opens the ports and does it.
func (c *rfc2544Command) measure(ctx context.Context, cfg rfc2544.Config, opt afxdp.Options, e ends) error {
	from, err := c.openSender(opt, e.gateway.IsValid())
	if err != nil {
		return err
	}
	defer from.Close()
	e.Send = from.Queues()
	if e.gateway.IsValid() {
		if e.Target, err = link.Resolve(ctx, e.Send, e.SourceIP, e.gateway); err != nil {
			return err
		}
	}
	if c.to != "" {
		to, err := c.openWhole(c.to, opt)
		if err != nil {
			return err
		}
		defer to.Close()
		e.Receive = to.Queues()
	}
	l, err := link.New(e.Config)
	if err != nil {
		return usageError{err}
	}
	show := newTrialProgress(c.err)
	cfg.Progress = show.event
	report, err := rfc2544.Run(ctx, l, cfg)
	show.end()
	if report == nil {
		return err
	}
	if werr := c.write(report); werr != nil {
		return werr
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(c.err, "interrupted; above is what was done by then")
		return errReported
	}
	return err
}

// openSender opens the interface that sends. Where nothing has to come back it needs no XDP program.
func (c *rfc2544Command) openSender(o afxdp.Options, asks bool) (*afxdp.Interface, error) {
	if c.to == "" {
		return c.openWhole(c.iface, o)
	}
	for i := range c.queues {
		o.Queues = append(o.Queues, i)
	}
	if asks {
		return c.openWhole(c.iface, o)
	}
	o.SendOnly = true
	return afxdp.Open(c.iface, o, bpf.Config{})
}

// openWhole opens an interface all of whose frames come here, if nobody else needs it.
func (c *rfc2544Command) openWhole(iface string, o afxdp.Options) (*afxdp.Interface, error) {
	o.RxHints = true
	i, err := receive.Open(iface, o, receive.Steer{All: true, Insist: c.permit.insist})
	if errors.Is(err, receive.ErrInUse) {
		return nil, usagef("%w: to do it all the same say %s", err, permit.Flag)
	}
	return i, err
}

func (c *rfc2544Command) write(r *rfc2544.Report) error {
	switch {
	case c.asJSON:
		return writeJSON(c.out, r)
	case c.asCSV:
		return writeRFC2544CSV(c.out, r)
	}
	writeRFC2544(c.out, r)
	return nil
}

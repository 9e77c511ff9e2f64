package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/permit"
	"github.com/xdpstack/xdpstack/internal/report"
	"github.com/xdpstack/xdpstack/load"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

type loadCommand struct {
	streams
	link     linkFlags
	permit   permitFlags
	plan     loadPlan
	results  resultFlags
	find     loadFind
	cpus     []int
	spin     time.Duration
	timeWait time.Duration
}

func newLoad(io streams) *cobra.Command {
	l := &loadCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "load -i IFACE -a ADDR/LEN URL...",
		Short: "Make connections and requests, and measure what becomes of them",
		Long: `Makes load on servers over connections of this stack, and tells what became of it: a line each second, and a
summary with percentiles. A target is http://HOST[:PORT]/PATH, https://…, tcp://HOST:PORT (what is sent must
come back) or udp://HOST:PORT (an answer to each datagram).

  --kind requests     requests on --connections that stay open (the default)
         connections  a connection for each request
         hold         --connections that stay open, with a request on each every --interval
         upload, download, duplex   as many bytes as the target takes or sends, over tcp

With --rate, --ramp or --step requests come at that rate, whatever the target does, and their latency counts
from when they were due: an open loop. Without, each connection makes a request when it has the answer to the
last: a closed loop, which asks a slow target less and does not see how long the others would have waited.

With --find it searches the highest rate at which conditions hold, by trials of --duration each: first each rate
twice the one before, until two in a row fail, then between the highest that held and the next one.

Aim it only at what is yours: other targets than those of the interface's own network must be in --allow.`,
		Example: `  sudo xdpstack load -i eth0 -a 192.0.2.11/24 --rate 10k --duration 30s http://192.0.2.10/
  sudo xdpstack load -i eth0 -a 192.0.2.11/24 --rate 10k --expect 'p99<5ms,errors<0.1%' http://192.0.2.10/
  sudo xdpstack load -i eth0 -a 192.0.2.11/24 --find 'p99<5ms,errors<0.1%' --duration 5s http://192.0.2.10/
  sudo xdpstack load -i eth0 -a 192.0.2.11/24 --kind connections --ramp 1k..50k/30s --reset http://192.0.2.10/
  sudo xdpstack load -i eth0 -a 192.0.2.11/24 --connections 256 --pipeline 16 http://192.0.2.10/
  sudo xdpstack load -i eth0 -a 192.0.2.11/24 --kind upload --connections 4 tcp://192.0.2.10:9`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("which target? http://192.0.2.10/, for example")
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), args) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	l.link.register(cmd)
	l.link.registerSource(cmd)
	l.plan.register(cmd)
	l.permit.register(cmd)
	l.results.register(cmd)
	l.find.register(cmd)
	cmd.Flags().IntSliceVar(&l.cpus, "cpus", nil, "CPU of each queue's shard, -1 for any (default near the interrupt, where there is one)")
	cmd.Flags().DurationVar(&l.spin, "spin", 0, "how long an idle shard polls before it sleeps; -1s: not at all (default 50µs with a rate)")
	cmd.Flags().DurationVar(&l.timeWait, "time-wait", time.Second, "how long a port that this side closed is not used again for its target")
	return cmd
}

func (p *loadPlan) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.kind, "kind", "requests", "requests, connections, hold, upload, download or duplex")
	f.StringVarP(&p.rate, "rate", "r", "", "requests, or connections, in a second: 500, 10k, 1.5M (default: a closed loop)")
	f.StringVar(&p.ramp, "ramp", "", "a rate that grows, and then stays until the end: 1k..50k/30s")
	f.StringVar(&p.step, "step", "", "rates one after another: 1k:10s,2k:10s")
	f.StringVar(&p.arrivals, "arrivals", "constant", "how requests of a rate are spaced: constant or poisson")
	f.IntVarP(&p.connections, "connections", "c", 0, "connections, or how many may be open at a time (default 64; 16384 with a rate)")
	f.IntVar(&p.pipeline, "pipeline", 0, "requests that may be under way on a connection (default 1)")
	f.Uint64VarP(&p.requests, "requests", "n", 0, "end after so many requests")
	f.DurationVarP(&p.duration, "duration", "d", 0, "how long requests are made (default 10s, without --requests and --step)")
	f.DurationVar(&p.warmUp, "warm-up", 0, "what begins in the first part of that is not counted")
	f.DurationVar(&p.think, "think", 0, "how long a connection of a closed loop waits after an answer")
	f.DurationVar(&p.interval, "interval", 0, "with --kind hold: between the requests on a connection (default: none are made)")
	f.DurationVar(&p.connectTimeout, "connect-timeout", 0, "a connection that takes a longer `time` to open has failed (default 5s)")
	f.DurationVar(&p.timeout, "timeout", 0, "a request that takes longer has failed (default 10s)")
	f.DurationVar(&p.drain, "drain", 0, "how long answers are waited for at the end (default: until all time out)")
	f.StringVarP(&p.method, "method", "X", "", "HTTP method (default GET)")
	f.StringArrayVarP(&p.header, "header", "H", nil, "HTTP header field, such as 'Accept: */*'; may be given again")
	f.StringVar(&p.body, "body", "", "body of a request, or what tcp and udp send: the text, or @FILE")
	f.Var(&p.size, "size", "bytes that tcp and udp send, made up (default 64; none with --kind connections)")
	f.IntSliceVar(&p.weights, "weights", nil, "how many of the connections go to each target, in proportion: 3,1")
	f.BoolVar(&p.reset, "reset", false, "end connections with a reset instead of a FIN")
	f.BoolVar(&p.failFast, "fail-fast", false, "stop at the first failure")
	f.BoolVar(&p.insecure, "insecure", false, "do not check the certificates of https")
	f.Uint64Var(&p.seed, "seed", 0, "of Poisson arrivals, to have the same again (default 1)")
	choices(cmd, "kind", load.ModeNames()...)
	choices(cmd, "arrivals", "constant", "poisson")
}

func (l *loadCommand) run(ctx context.Context, urls []string) (err error) {
	cfg, err := l.plan.config(ctx, urls)
	if err != nil {
		return err
	}
	if err := load.Check(cfg); err != nil {
		return usageError{err}
	}
	if l.find.conditions != "" {
		if err := l.refuse(&cfg); err != nil {
			return err
		}
	}
	sc, err := l.stackConfig(&cfg)
	if err != nil {
		return err
	}
	out, err := l.results.prepare(l.streams, loadVocabulary(), time.Now())
	if err != nil {
		return err
	}
	defer out.close()
	cfg.Worker, cfg.Workers, cfg.StartAt = out.worker, out.workers, out.start
	if sc.Addresses, err = sourcesOf(sc.Addresses, out.worker, out.workers); err != nil {
		return err
	}
	st, err := stack.Open(sc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if l.find.conditions != "" {
		return l.seek(ctx, st, cfg)
	}
	result, err := l.follow(ctx, st, cfg, out)
	if result == nil {
		return err
	}
	if err = errors.Join(err, out.finish(result)); err == nil {
		err = inVain(&cfg, result)
	}
	return err
}

// inVain returns an error if not one request has been answered: nobody should take that for a success, whatever is expected.
func inVain(cfg *load.Config, result *report.Result) error {
	failed := result.Counters["failed"]
	if cfg.Mode >= load.Upload || failed == 0 || result.Counters["done"] > 0 {
		return nil
	}
	return fmt.Errorf("nothing was answered: all of %d attempts failed", failed)
}

// stackConfig returns how the stack is to be, after a look at whether it may be aimed at the targets.
func (l *loadCommand) stackConfig(cfg *load.Config) (stack.Config, error) {
	sc, err := l.link.config()
	if err != nil {
		return sc, err
	}
	sc.CPUs, sc.SpinTime = l.cpus, l.spin
	if l.spin == 0 && len(cfg.Phases) == 0 && l.find.conditions == "" {
		sc.SpinTime = -1 // no arrivals are to be in time, and sleeping is cheaper
	}
	sc.AFXDP.AdaptiveFill, sc.AFXDP.KeepProcessor = true, cfg.TLS == nil // with TLS goroutines make the requests
	sc.TCP.TimeWait = l.timeWait
	own := []netip.Prefix{sc.Address.Masked()}
	targets := make([]netip.Prefix, len(cfg.Targets))
	for i, t := range cfg.Targets {
		targets[i] = permit.Address(t.Addr.Addr())
	}
	return sc, l.permit.check(sc.Interface, own, targets...)
}

// follow makes the load, and tells of it each second. The error is why it ended early, if it did.
func (l *loadCommand) follow(ctx context.Context, st *stack.Stack, cfg load.Config, out *results) (*report.Result, error) {
	run, err := load.Start(st, cfg)
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	var failure error
	go func() {
		failure = run.Wait(ctx)
		close(ended)
	}()
	result := out.follow(source{
		head: report.Result{Tool: "load", Setup: l.plan.setup(&cfg), Main: "total", RateOf: "done"},
		columns: []report.Column{
			{Name: "started", Title: "sent", Second: true}, {Name: "done", Title: "done", Second: true},
			{Name: "connects", Title: "connects", Second: true}, {Name: "retransmissions", Title: "retrans"},
		},
		help:   loadHelp(),
		since:  time.Now(),
		totals: func() report.Totals { return loadTotals(run.Snapshot()) },
		done:   ended,
	})
	if ctx.Err() != nil {
		result.Notes = append(result.Notes, "it was interrupted, before its end")
	} else if failure != nil {
		result.Notes = append(result.Notes, failure.Error())
	}
	return result, failure
}

// setup says what was to be done.
func (p *loadPlan) setup(cfg *load.Config) []report.Setting {
	loop := "closed: each connection waits for its answers"
	if len(cfg.Phases) > 0 || cfg.Interval > 0 {
		loop = "open: latency counts from when a request was due"
	}
	var urls []string
	for _, t := range cfg.Targets {
		urls = append(urls, t.Addr.String()+t.Path)
	}
	all := []report.Setting{
		{Name: "target", Value: cfg.Protocol.String() + " " + strings.Join(urls, ", ")}, {Name: "kind", Value: cfg.Mode.String()},
		{Name: "loop", Value: loop},
	}
	for _, s := range []report.Setting{{Name: "rate", Value: p.rate}, {Name: "ramp", Value: p.ramp}, {Name: "step", Value: p.step}} {
		if s.Value != "" {
			all = append(all, s, report.Setting{Name: "arrivals", Value: p.arrivals})
		}
	}
	if cfg.TLS != nil {
		all = append(all, report.Setting{Name: "tls", Value: "crypto/tls over net.Conn: slower than the rest"})
	}
	return all
}

// loadTotals turns a snapshot into what results are made of.
func loadTotals(s load.Snapshot) report.Totals {
	t := report.Totals{Since: s.Since, Elapsed: s.Elapsed, Warmup: s.State == load.WarmUp || s.State == load.Opening,
		CPU: report.CPU{User: s.CPU.User, System: s.CPU.System}, Counters: make(map[string]uint64), Errors: s.ErrorsByName(),
		TCP: make(map[string]uint64), Histograms: s.ByName()}
	for _, c := range s.Counters() {
		t.Counters[c.Name] = c.Value
	}
	t.Counters["retransmissions"] = s.TCP.Retransmits + s.TCP.SYNRetransmits
	metrics.Walk("", s.TCP, func(m metrics.Metric) { t.TCP[m.Name] = m.Value })
	return t
}

// loadHelp says what each counter means, for Prometheus.
func loadHelp() map[string]string {
	help := map[string]string{"retransmissions": "segments sent again, SYNs among them"}
	metrics.Walk("", load.Counts{}, func(m metrics.Metric) { help[m.Name] = m.Help })
	metrics.Walk("tcp", tcp.Stats{}, func(m metrics.Metric) { help[m.Name] = m.Help })
	return help
}

// loadVocabulary is what expectations may be about.
func loadVocabulary() report.Vocabulary {
	var v report.Vocabulary
	var s load.Snapshot
	for name := range s.ByName() {
		v.Histograms = append(v.Histograms, name)
	}
	for _, c := range s.Counters() {
		v.Counters = append(v.Counters, c.Name)
	}
	v.Counters = append(v.Counters, "retransmissions")
	v.Errors = load.ReasonNames()
	return v
}

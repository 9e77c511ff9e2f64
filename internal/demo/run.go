package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// Config says how much to do. Zero fields mean the defaults.
type Config struct {
	Pings       int           // default 100
	Duration    time.Duration // of the HTTP requests; default 3 s
	Clients     int           // that send HTTP requests at once; default 16
	Connections int           // open at once; default 1000
	Echoes      int           // messages that each of them echoes; default 20
	Bulk        int64         // bytes in each direction; default 1 GiB
}

func (c *Config) setDefaults() {
	if c.Pings == 0 {
		c.Pings = 100
	}
	if c.Duration == 0 {
		c.Duration = 3 * time.Second
	}
	if c.Clients == 0 {
		c.Clients = 16
	}
	if c.Connections == 0 {
		c.Connections = 1000
	}
	if c.Echoes == 0 {
		c.Echoes = 20
	}
	if c.Bulk == 0 {
		c.Bulk = 1 << 30
	}
}

// The ports of the bulk services, beside the well-known ones of echo and http.
const (
	sinkPort   = 5001
	hashPort   = 5002
	sourcePort = 5003
)

// runner is one run of the jobs.
type runner struct {
	*World
	cfg      Config
	progress Progress
	report   *Report
}

// Run serves on the world's stack and does the jobs one after the other. The report has what was done, also when there is an error.
func Run(ctx context.Context, w *World, cfg Config, p Progress) (*Report, error) {
	cfg.setDefaults()
	r := &runner{World: w, cfg: cfg, progress: p, report: &Report{
		Kind: w.Kind, Title: w.Title, Reason: w.Reason, Device: w.Device, HashRate: hashRate(),
	}}
	web, err := service.NewHTTP(service.HTTPConfig{})
	if err != nil {
		return r.report, err
	}
	defer web.Close()
	if err := r.serve(web); err != nil {
		return r.report, err
	}
	for _, job := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"ping", r.ping}, {"HTTP requests", r.requests}, {"connections", r.connections}, {"upload", r.upload}, {"download", r.download},
	} {
		if err := job.run(ctx); err != nil {
			if ctx.Err() != nil {
				return r.report, ctx.Err()
			}
			return r.report, fmt.Errorf("%s: %w", job.name, err)
		}
	}
	return r.report, r.count()
}

// serve starts the services that the jobs use.
func (r *runner) serve(web *service.HTTP) error {
	if _, err := r.Server.Handle(fmt.Sprintf(":%d", service.EchoPort), service.Echo{}); err != nil {
		return err
	}
	if _, err := r.Server.Handle(fmt.Sprintf(":%d", service.HTTPPort), web); err != nil {
		return err
	}
	if _, err := r.Server.Handle(fmt.Sprintf(":%d", sinkPort), sink{hash: compared}); err != nil {
		return err
	}
	if _, err := r.Server.Handle(fmt.Sprintf(":%d", hashPort), sink{hash: hashed}); err != nil {
		return err
	}
	_, err := r.Server.Handle(fmt.Sprintf(":%d", sourcePort), source{})
	return err
}

// address returns a port of the server's.
func (r *runner) address(port int) string { return fmt.Sprintf("%s:%d", r.Addr, port) }

// count fills in what the stack has counted.
func (r *runner) count() error {
	snap, err := snapshot.Take(r.Server, time.Now())
	if err != nil {
		return err
	}
	r.report.Frames = Frames{
		Received: snap.Value("rx_frames"), Sent: snap.Value("tx_frames"), Batches: snap.Value("rx_batches"),
	}
	r.report.Drops = snap.Drops()
	return nil
}

// hashRate measures SHA-256 alone, in bytes per second: the bound that it puts on the transfers that are hashed.
func hashRate() float64 {
	p := newPattern(32 << 20)
	began := time.Now()
	p.sum()
	return float64(p.total) / time.Since(began).Seconds()
}

func (r *runner) ping(ctx context.Context) error {
	step := r.progress.Start("ping", int64(r.cfg.Pings), "echo requests")
	h := newHistogram()
	out := &Ping{}
	r.report.Ping = out
	err := r.Ping(ctx, r.cfg.Pings, func(rtt time.Duration) {
		out.Sent++
		if rtt == 0 {
			out.Lost++
		} else {
			record(h, rtt)
		}
		step.Add(1)
	})
	out.Latency = summarize(h)
	if err == nil && out.Lost > 0 {
		err = fmt.Errorf("%d of %d echo requests were not answered", out.Lost, out.Sent)
	}
	if err != nil {
		step.Fail(err)
		return err
	}
	step.Done(fmt.Sprintf("%d answered, median %v", out.Sent, out.Latency.P50.Round(time.Microsecond)))
	return nil
}

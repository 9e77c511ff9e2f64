package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/gen/measure"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/gen/rfc2544"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Config says what the frames are, and through what they go. Send, the addresses and Line are needed.
type Config struct {
	Send    []afxdp.Queue // by which frames go into the network
	Receive []afxdp.Queue // by which they come out; default: they come back to Send

	Source, Target     ethernet.Addr // of the frames
	SourceIP, TargetIP netip.Addr
	SourcePort         string  // as gen has values, so that it may vary: "1024-2047"; default 1024
	TargetPort         string  // default 7, the echo port, as in RFC 2544 appendix C.2.6.4
	Line               float64 // the medium's rate, bits a second
	// CatchUp is how much of a trial's schedule is made up for when the sender was kept from it: what leaves then is a burst, which the
	// network did not deserve; what is older is not sent. Default 1 ms.
	CatchUp time.Duration
}

// Link is a network under test. One goroutine uses it.
type Link struct {
	cfg    Config
	mtu    int
	stream string
}

// ErrConfig is in every error about a Config.
var ErrConfig = errors.New("unusable configuration of the ports")

// New makes a link of open queues. They are the link's while a trial runs.
func New(cfg Config) (*Link, error) {
	if len(cfg.Send) == 0 || !(cfg.Line > 0) {
		return nil, fmt.Errorf("%w: %d queues to send by, on a medium of %v bits/s", ErrConfig, len(cfg.Send), cfg.Line)
	}
	if cfg.SourcePort == "" {
		cfg.SourcePort = "1024"
	}
	if cfg.TargetPort == "" {
		cfg.TargetPort = "7"
	}
	if cfg.CatchUp == 0 {
		cfg.CatchUp = time.Millisecond
	}
	l := &Link{cfg: cfg, mtu: cfg.Send[0].MTU()}
	for _, q := range append(cfg.Send, cfg.Receive...) {
		l.mtu = min(l.mtu, q.MTU())
	}
	l.stream = fmt.Sprintf("udp,src=%v,dst=%v,sport=%s,dport=%s,size=", cfg.SourceIP, cfg.TargetIP, cfg.SourcePort, cfg.TargetPort)
	if _, err := l.sources(64); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return l, nil
}

// Line returns the medium's rate in bits a second.
func (l *Link) Line() float64 { return l.cfg.Line }

// Check says why frames of a size cannot be sent, nil if they can.
func (l *Link) Check(s rfc2544.Size) error {
	const around = ethernet.HeaderLen + gen.FCSLen
	if need := s.Longest() - around; need > l.mtu {
		return fmt.Errorf("frames of %d bytes take an MTU of %d, and it is %d", s.Longest(), need, l.mtu)
	}
	return nil
}

// sources returns what writes the frames of each queue.
func (l *Link) sources(s rfc2544.Size) ([]engine.Source, error) {
	stream, err := gen.ParseStream(l.stream + s.String())
	if err != nil {
		return nil, err
	}
	sources := make([]engine.Source, len(l.cfg.Send))
	for i := range sources {
		sources[i], err = gen.Compile([]gen.Stream{stream}, gen.Options{Worker: i, Workers: len(sources), Source: l.cfg.Source,
			Target: l.cfg.Target, SourceIP: l.cfg.SourceIP, TargetIP: l.cfg.TargetIP})
		if err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// Trial does one.
func (l *Link) Trial(ctx context.Context, t rfc2544.Trial) (o rfc2544.Outcome, err error) {
	begin := clock.Now()
	cfg := engine.Config{Queues: l.cfg.Send, Rate: l.schedule(&t)}
	if cfg.Sources, err = l.sources(t.Size); err != nil {
		return o, err
	}
	known := make([]uint16, len(cfg.Sources))
	for i := range known {
		known[i] = gen.Signature{Worker: uint8(i)}.ID()
	}
	recorder, err := measure.NewRecorder(measure.Config{Known: known})
	if err != nil {
		return o, err
	}
	since := tai()
	var stop func()
	if len(l.cfg.Receive) > 0 {
		stop = l.listen(recorder, since)
	} else {
		stop = func() {}
		cfg.Linger = t.Wait
		for _, q := range cfg.Queues {
			cfg.Receivers = append(cfg.Receivers, &tap{recorder: recorder, queue: q, since: since})
		}
	}
	result, err := engine.Run(ctx, cfg)
	if err == nil && len(l.cfg.Receive) > 0 {
		sleep(ctx, t.Wait)
	}
	stop()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return o, err
	}
	o = outcome(result, recorder)
	sleep(ctx, t.Settle)
	o.Took = clock.Now().Sub(begin)
	return o, ctx.Err()
}

// schedule returns when the frames leave.
func (l *Link) schedule(t *rfc2544.Trial) rate.Config {
	if t.Burst > 0 {
		return rate.Config{Phases: []rate.Phase{rate.Constant(rate.Max, 0)}, Count: t.Burst}
	}
	return rate.Config{Phases: []rate.Phase{rate.Constant(rate.PPS(t.Rate), t.Duration)}, CatchUp: l.cfg.CatchUp}
}

// outcome says what became of the frames. What the device behind the queue had no room for has not been sent.
func outcome(sent *engine.Result, recorder *measure.Recorder) rfc2544.Outcome {
	r := recorder.Report()
	latency, _, _ := r.Histograms()
	o := rfc2544.Outcome{Sent: sent.Left(), Duplicates: r.Duplicates, Reordered: r.Reordered, Sending: sent.Elapsed, Latency: latency}
	o.Received = r.Received
	return o
}

// listen has the receiving port measure until stop is called, which returns when it has stopped.
func (l *Link) listen(recorder *measure.Recorder, since uint64) (stop func()) {
	var over atomic.Bool
	var all sync.WaitGroup
	for i, q := range l.cfg.Receive {
		p := &port{mac: q.HardwareAddr(), ip: l.cfg.TargetIP, tap: tap{recorder: recorder, queue: q, since: since}}
		if i == 0 {
			p.announce()
		}
		all.Go(func() { p.run(&over) })
	}
	return func() {
		over.Store(true)
		for _, q := range l.cfg.Receive {
			q.Wake()
		}
		all.Wait()
	}
}

// sleep returns after a time, or when the context is done.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

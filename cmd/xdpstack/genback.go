package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/gen/engine"
	"github.com/xdpstack/xdpstack/gen/measure"
	"github.com/xdpstack/xdpstack/gen/receive"
)

// genBack says what gen measures of what comes: from another sender (--receive), or of its own that comes back (--round-trip).
type genBack struct {
	receive, roundTrip bool
	ports              string
	all                bool
	idle, linger       time.Duration
	streams, window    int
	clock              string
	trust              bool

	recorder *measure.Recorder
	result   measure.Report // of a round trip, at the end
	taps     []*receive.Measurer
	answers  []*receive.Tap
}

func (b *genBack) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&b.receive, "receive", false, "measure what another gen sends here, and send nothing")
	f.BoolVar(&b.roundTrip, "round-trip", false, "measure what comes back of what is sent, from xdpstack reflect for example")
	f.StringVar(&b.ports, "port", "", "of what comes: only these ports of -a ADDR, an address of the kernel's: 9,5000")
	f.BoolVar(&b.all, "all", false, "of what comes: every frame of the interface; the kernel gets none meanwhile")
	f.DurationVar(&b.idle, "idle", 0, "with --receive: end when nothing has come for so long after something had (default never)")
	f.DurationVar(&b.linger, "linger", 100*time.Millisecond, "with --round-trip: how long to wait for the last ones at the end")
	f.IntVar(&b.streams, "max-streams", 64, "of what comes: most streams of workers that are measured")
	f.IntVar(&b.window, "window", 32768, "of what comes: sequence numbers that are remembered")
	f.StringVar(&b.clock, "arrival", "auto", "who notes when packets come: auto (card or kernel, if they can) or worker")
	f.BoolVar(&b.trust, "no-checksums", false, "of what comes: do not look at checksums, which takes less time; damage is not seen then")
	choices(cmd, "arrival", "auto", "worker")
}

// on reports whether anything is measured.
func (b *genBack) on() bool { return b.receive || b.roundTrip }

// check finds mistakes in the flags, and makes the recorder.
func (b *genBack) check(g *genCommand) (err error) {
	changed := g.pace.changed
	switch {
	case b.receive && b.roundTrip:
		return usagef("--receive sends nothing, --round-trip does: give one of them")
	case !b.on():
		for _, name := range []string{"port", "all", "idle", "linger", "max-streams", "window", "arrival", "no-checksums"} {
			if changed(name) {
				return usagef("--%s is about what comes: give it with --receive or --round-trip", name)
			}
		}
		return nil
	case b.receive && len(g.source.templates) > 0:
		return usagef("--receive sends nothing: leave out the template %s", g.source.templates[0])
	case b.receive && (g.source.profile != "" || g.source.replay.file != ""):
		return usagef("--receive sends nothing: leave out --profile and --replay")
	case b.receive && (changed("rate") || changed("ramp") || changed("step") || changed("warm-up")):
		return usagef("--receive sends nothing: leave out the rate")
	case b.clock != "auto" && b.clock != "worker":
		return usagef("--arrival %s: want auto or worker", b.clock)
	case b.idle < 0 || b.linger < 0:
		return usagef("--idle and --linger: want a time")
	}
	b.recorder, err = measure.NewRecorder(measure.Config{Streams: b.streams, Window: b.window, NoChecksums: b.trust})
	if err != nil {
		return usageError{err}
	}
	return nil
}

// flags are those that say what comes.
func (b *genBack) flags(g *genCommand) *receiverFlags {
	f := &receiverFlags{address: g.source.ownText, ports: b.ports, all: b.all, insist: g.permit.insist, duration: g.pace.duration}
	if !b.receive || g.pace.changed("queues") {
		f.queues = g.queues
	}
	return f
}

// runReceive measures what comes until it is over.
func (g *genCommand) runReceive(ctx context.Context, tolerance float64) (err error) {
	b := &g.back
	flags := b.flags(g)
	steer, _, err := flags.steer(g.iface)
	if err != nil {
		return err
	}
	o, err := g.driver.options()
	if err != nil {
		return err
	}
	o.RxHints = b.clock == "auto"
	if o.RxRing == 0 && o.Frames == 0 { // what is dropped here was not lost on the way: room for 80 ms at 100,000 packets a second
		o.RxRing, o.Frames = 8192, 32768
	}
	iface, err := flags.open(g.streams, g.iface, o, steer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, iface.Close()) }()
	account := receive.NewAccount(iface)
	cfg := receive.Config{Queues: iface.Queues(), Quiet: account.Quiet}
	if len(steer.Ports) == 0 {
		cfg.Address = steer.Address
	}
	for _, q := range iface.Queues() {
		m := receive.NewMeasurer(b.recorder, q)
		b.taps = append(b.taps, m)
		cfg.Handlers = append(cfg.Handlers, m)
	}
	r, err := receive.New(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(g.talk(g.asJSON), iface.Describe()) // from here on everything is counted
	shown := newGenReceived(g, iface)
	err = flags.run(ctx, r, shown.tick)
	where, readErr := account.Read(r)
	if err = errors.Join(err, readErr); err != nil {
		return err
	}
	return shown.end(&where, tolerance)
}

// openBack opens the interface for sending and for what comes back.
func (g *genCommand) openBack(o afxdp.Options) (*afxdp.Interface, error) {
	b := &g.back
	flags := b.flags(g)
	if flags.address == "" && !flags.all {
		return nil, usagef("--round-trip: which frames come back? give -a ADDR/LEN, an address on %s's network that nobody has, as the "+
			"source, -a ADDR --port PORTS if the kernel has it, or --all", g.iface)
	}
	steer, _, err := flags.steer(g.iface)
	if err != nil {
		return nil, err
	}
	o.RxHints = b.clock == "auto"
	iface, err := flags.open(g.streams, g.iface, o, steer)
	if err != nil {
		return nil, err
	}
	var own netip.Addr
	if len(steer.Ports) == 0 { // else the kernel answers for it
		own = steer.Address
	}
	for _, q := range iface.Queues() {
		t := receive.NewTap(b.recorder, q, own)
		b.answers = append(b.answers, t)
		b.taps = append(b.taps, t.Measurer)
	}
	return iface, nil
}

// receivers are those of the engine.
func (b *genBack) receivers() (all []engine.Receiver) {
	for _, t := range b.answers {
		all = append(all, t)
	}
	return all
}

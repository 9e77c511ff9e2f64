package veth

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// RawPayload is how many bytes of TCP payload a full frame carries, with timestamps.
const RawPayload = 1448

// Raw measures frames that are dropped, sent or forwarded without a stack, in millions a second. The measured end is the stack's;
// it counts as the server. The other end is the same for all: it feeds the measured one by the native driver, or has what that
// sends dropped by an XDP program. What is sent or forwarded counts when it has arrived there.
func (r *Runner) Raw(ctx context.Context, cfg rawlink.Config) result.Run {
	run, err := r.raw(ctx, cfg)
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	return run
}

func (r *Runner) raw(ctx context.Context, cfg rawlink.Config) (run result.Run, err error) {
	e, err := r.openRaw(ctx, cfg, nil)
	if err != nil {
		return run, err
	}
	defer func() { err = e.close(err) }()
	lab, server, client := e.lab, e.server, e.client
	link := describeLink(lab)
	at := &arena{lab: lab, server: server}
	var got rawlink.Result
	var begin, end uint64
	var helped time.Duration // of ksoftirqd
	helper := softirqThread(r.ServerCPU)
	at.mark = func(start bool) {
		if start {
			begin, err = arrived(lab.Kernel)
			helped = helper()
		} else if err == nil {
			end, err = arrived(lab.Kernel)
			helped = helper() - helped
		}
	}
	run, failure := r.window(ctx, at, client, server, r.RawWindow, &got)
	if failure != nil {
		return run, failure
	}
	if cfg.Role != rawlink.Drop && cfg.Role != rawlink.Measure {
		got.Frames = end - begin
	}
	if got.Frames == 0 {
		return run, fmt.Errorf("veth: no frame got through in a window of %.1f s", got.Seconds)
	}
	run.Seconds, run.Value = got.Seconds, float64(got.Frames)/got.Seconds/1e6
	run.GC, run.Link, run.Mode = server.GC(), link, got.Mode
	run.Extra = r.perFrame(&run, float64(got.Frames))
	if got.Kicks > 0 {
		run.Extra[PerKick] = float64(got.Frames) / float64(got.Kicks)
	}
	if got.Process > 0 {
		run.Server.Process = got.Process
		run.Extra[ProcessPerFrame] = got.Process * 1e9 / float64(got.Frames)
	}
	if cfg.Role == rawlink.Generate || cfg.Role == rawlink.Foreign {
		run.Extra[PerSenderCPU] = float64(got.Frames) / 1e6 / (run.Server.Process + helped.Seconds())
	}
	maps.Copy(run.Extra, got.Extra)
	return run, err
}

// softirqThread returns what reads the processor time of a processor's ksoftirqd; of one that cannot be found it is none.
func softirqThread(cpu int) func() time.Duration {
	name := fmt.Sprintf("ksoftirqd/%d\n", cpu)
	all, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range all {
		if b, err := os.ReadFile(file); err != nil || string(b) != name {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			return func() time.Duration {
				d, _ := child.CPU(pid)
				return d
			}
		}
	}
	return func() time.Duration { return 0 }
}

// rawEnds are a laboratory with both ends at work: the measured one, which is the stack's and counts as the server, and the other.
type rawEnds struct {
	lab            *netlab.Lab
	server, client *child.Process
}

// openRaw makes a laboratory and starts both ends. Who sends comes last, because the link may be away for a while when the other's program
// has been attached; before, if it is not nil, is called before that.
func (r *Runner) openRaw(ctx context.Context, cfg rawlink.Config, before func(*netlab.Lab) error) (e *rawEnds, err error) {
	lab, measured, far, err := r.makeRaw(cfg)
	if err != nil {
		return nil, err
	}
	e = &rawEnds{lab: lab}
	startServer := func() (err error) {
		e.server, err = r.startRaw(ctx, lab.Stack, measured, r.ServerCPU)
		return err
	}
	startClient := func() (err error) {
		e.client, err = r.startRaw(ctx, lab.Kernel, far, r.ClientCPU)
		return err
	}
	between := func() error {
		if err := lab.WaitCarrier(); err != nil || before == nil {
			return err
		}
		return before(lab)
	}
	order := []func() error{startServer, between, startClient}
	if cfg.Role.Sends() {
		order = []func() error{startClient, between, startServer}
	}
	for _, step := range append(order, func() error { return r.bindInterrupts(lab) }) {
		if err := step(); err != nil {
			return nil, e.close(err)
		}
	}
	return e, nil
}

// close ends what is at work, and returns the error that there was before, else its own.
func (e *rawEnds) close(before error) error {
	for _, p := range []*child.Process{e.server, e.client} {
		if p != nil {
			p.Stop()
		}
	}
	return cmp.Or(before, e.lab.Close())
}

// makeRaw makes a laboratory and says what its ends do. A rate is that of the other end.
func (r *Runner) makeRaw(cfg rawlink.Config) (lab *netlab.Lab, measured, far rawlink.Config, err error) {
	lc := r.Lab
	lc.Name = "bench"
	if lab, err = netlab.New(lc); err != nil {
		return nil, measured, far, err
	}
	cfg.Warmup, cfg.Window = r.Warmup, r.RawWindow
	cfg.Src, cfg.Dst = lab.Kernel.Address.Addr(), lab.Stack.Address.Addr()
	measured, far = cfg, cfg
	if cfg.Role != rawlink.Generate {
		measured.Rate = 0
	}
	measured.Command = slices.Clone(cfg.Command)
	for i, word := range cfg.Command {
		measured.Command[i] = strings.ReplaceAll(word, rawlink.AnInterface, lab.Stack.Interface)
	}
	measured.Interface, measured.To = lab.Stack.Interface, net.HardwareAddr(lab.Kernel.MAC[:])
	far.Role, far.Driver, far.Program, far.ZeroCopy = rawlink.Feed, afxdp.DriverNative, "", r.ZeroCopyPeer
	far.Interface, far.To = lab.Kernel.Interface, net.HardwareAddr(lab.Stack.MAC[:])
	far.Sign, far.Arrival = cfg.Role == rawlink.Measure, rawlink.NoArrival
	if cfg.Role.Sends() {
		far.Role = rawlink.Sink
		measured.Src, measured.Dst = cfg.Dst, cfg.Src
	}
	return lab, measured, far, nil
}

// startRaw starts an end and waits until it is ready.
func (r *Runner) startRaw(ctx context.Context, side *netlab.Side, cfg rawlink.Config, cpu int) (*child.Process, error) {
	args := []string{
		"raw", "-role", string(cfg.Role), "-driver", cfg.Driver, "-interface", cfg.Interface, "-size", strconv.Itoa(cfg.Size),
		"-zero-copy=" + strconv.FormatBool(cfg.ZeroCopy), "-rate", strconv.FormatFloat(cfg.Rate, 'f', -1, 64),
		"-to", cfg.To.String(), "-src", cfg.Src.String(), "-dst", cfg.Dst.String(), "-cpu", strconv.Itoa(cpu),
		"-warmup", cfg.Warmup.String(), "-window", cfg.Window.String(), "-arrival", string(cfg.Arrival),
		"-sign=" + strconv.FormatBool(cfg.Sign),
	}
	if cfg.Program != "" || cfg.Role == rawlink.Foreign {
		args = append(append(args, "--"), cfg.Arguments()...)
	}
	threads := 1
	if cfg.Role == rawlink.Generate { // its worker never sleeps, and there is who ends the window
		threads = 2
	}
	cmd := r.command(threads, args...)
	if cfg.Role != rawlink.Feed && cfg.Role != rawlink.Sink {
		child.Profiled(cmd, r.Profile)
	}
	p, err := start(side, cmd)
	if err != nil {
		return nil, err
	}
	if err := p.Next(ctx, "ready", patience, nil); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// arrived returns how many frames a side's interface has received, those that XDP dropped included.
func arrived(side *netlab.Side) (uint64, error) {
	c, err := counters(side)
	return c.RxPackets, err
}

// counters returns those of a side's interface.
func counters(side *netlab.Side) (c netlink.LinkStatistics, err error) {
	err = side.Do(func() error {
		link, err := netlink.LinkByName(side.Interface)
		if err == nil {
			c = *link.Attrs().Statistics
		}
		return err
	})
	return c, err
}

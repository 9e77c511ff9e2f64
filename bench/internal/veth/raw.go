package veth

import (
	"context"
	"net"
	"strconv"

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
	lc := r.Lab
	lc.Name = "bench"
	lab, err := netlab.New(lc)
	if err != nil {
		return run, err
	}
	defer func() {
		if e := lab.Close(); e != nil && err == nil {
			err = e
		}
	}()
	cfg.Warmup, cfg.Window = r.Warmup, r.RawWindow
	cfg.Src, cfg.Dst = lab.Kernel.Address.Addr(), lab.Stack.Address.Addr()
	measured, far := cfg, cfg
	measured.Interface, measured.To = lab.Stack.Interface, net.HardwareAddr(lab.Kernel.MAC[:])
	far.Role, far.Driver, far.Program = rawlink.Feed, afxdp.DriverNative, ""
	far.Interface, far.To = lab.Kernel.Interface, net.HardwareAddr(lab.Stack.MAC[:])
	if cfg.Role == rawlink.Send {
		far.Role = rawlink.Sink
		measured.Src, measured.Dst = cfg.Dst, cfg.Src
	}
	server, err := r.startRaw(ctx, lab.Stack, measured, r.ServerCPU)
	if err != nil {
		return run, err
	}
	defer server.Stop()
	client, err := r.startRaw(ctx, lab.Kernel, far, r.ClientCPU)
	if err != nil {
		return run, err
	}
	defer client.Stop()
	link := describeLink(lab)
	at := &arena{lab: lab, server: server}
	var got rawlink.Result
	var begin, end uint64
	at.mark = func(start bool) {
		if start {
			begin, err = arrived(lab.Kernel)
		} else if err == nil {
			end, err = arrived(lab.Kernel)
		}
	}
	run, e := r.window(ctx, at, client, server, r.RawWindow, &got)
	if e != nil {
		return run, e
	}
	if cfg.Role != rawlink.Drop {
		got.Frames = end - begin
	}
	run.Seconds, run.Value = got.Seconds, float64(got.Frames)/got.Seconds/1e6
	run.GC, run.Link = server.GC(), link
	return run, err
}

// startRaw starts an end and waits until it is ready.
func (r *Runner) startRaw(ctx context.Context, side *netlab.Side, cfg rawlink.Config, cpu int) (*child.Process, error) {
	args := []string{
		"raw", "-role", string(cfg.Role), "-driver", cfg.Driver, "-interface", cfg.Interface, "-size", strconv.Itoa(cfg.Size),
		"-to", cfg.To.String(), "-src", cfg.Src.String(), "-dst", cfg.Dst.String(), "-cpu", strconv.Itoa(cpu),
		"-warmup", cfg.Warmup.String(), "-window", cfg.Window.String(),
	}
	if cfg.Program != "" {
		args = append(append(args, "--"), cfg.Arguments()...)
	}
	cmd := r.command(side, 1, args...)
	if cfg.Role != rawlink.Feed && cfg.Role != rawlink.Sink {
		child.Profiled(cmd, r.Profile)
	}
	p, err := child.Start(cmd)
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
func arrived(side *netlab.Side) (n uint64, err error) {
	err = side.Do(func() error {
		link, err := netlink.LinkByName(side.Interface)
		if err == nil {
			n = link.Attrs().Statistics.RxPackets
		}
		return err
	})
	return n, err
}

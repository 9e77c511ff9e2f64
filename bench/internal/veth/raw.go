package veth

import (
	"context"
	"net"
	"slices"
	"strconv"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// RawDrivers are the AF_XDP drivers whose raw limit is measured.
var RawDrivers = []string{"native", "asavie"}

// RawPayload is how many bytes of TCP payload a full frame carries, with timestamps.
const RawPayload = 1448

// Raw measures frames received and dropped, in millions a second: the sender is an AF_XDP socket at the kernel's end. As with
// the servers, the receiver counts as the server.
func (r *Runner) Raw(ctx context.Context, driver string) result.Run {
	run, err := r.raw(ctx, driver)
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	return run
}

func (r *Runner) raw(ctx context.Context, driver string) (run result.Run, err error) {
	cfg := r.Lab
	cfg.Name = "bench"
	lab, err := netlab.New(cfg)
	if err != nil {
		return run, err
	}
	defer func() {
		if e := lab.Close(); e != nil && err == nil {
			err = e
		}
	}()
	common := []string{
		"raw", "-driver", driver, "-dst", lab.Stack.Address.Addr().String(), "-src", lab.Kernel.Address.Addr().String(),
		"-to", net.HardwareAddr(lab.Stack.MAC[:]).String(), "-warmup", r.Warmup.String(), "-window", r.RawWindow.String(),
	}
	receiver, err := child.Start(r.command(lab.Stack, 1, append(slices.Clone(common), "-role", "receive",
		"-interface", lab.Stack.Interface, "-cpu", strconv.Itoa(r.ServerCPU))...))
	if err != nil {
		return run, err
	}
	defer receiver.Stop()
	if err := receiver.Next(ctx, "ready", patience, nil); err != nil {
		return run, err
	}
	sender, err := child.Start(r.command(lab.Kernel, 1, append(slices.Clone(common), "-role", "send",
		"-interface", lab.Kernel.Interface, "-cpu", strconv.Itoa(r.ClientCPU))...))
	if err != nil {
		return run, err
	}
	defer sender.Stop()
	if err := sender.Next(ctx, "ready", patience, nil); err != nil {
		return run, err
	}
	var got rawlink.Result
	run, err = r.window(ctx, &arena{lab: lab, server: receiver}, sender, receiver, r.RawWindow, &got)
	if err != nil {
		return run, err
	}
	run.Value = float64(got.Frames) / got.Seconds / 1e6
	run.Seconds = got.Seconds
	run.Extra = map[string]float64{"payload Gbit/s": run.Value * RawPayload * 8 / 1000}
	return run, nil
}

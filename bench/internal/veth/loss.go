package veth

import (
	"context"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/rawlink"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// Further figures of a run that counts losses.
const (
	Offered   = "offered Mpps"
	Delivered = "delivered Mpps" // by the card's driver
	Missed    = "missed by card" // for want of room in its ring
)

// settle is how long the last frames of a run that counts losses may take to arrive.
const settle = 300 * time.Millisecond

// Loss counts the frames that the measured end's driver received and that did not reach the socket, while the other end sends a part
// of what the measured end can take at most. Every frame counts, from before the first to after the last.
func (r *Runner) Loss(ctx context.Context, cfg rawlink.Config, part float64) result.Run {
	cfg.Role = rawlink.Drop
	most, err := r.raw(ctx, cfg)
	var run result.Run
	if err == nil {
		cfg.Role, cfg.Rate = rawlink.Count, part*most.Value*1e6
		run, err = r.loss(ctx, cfg)
	}
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	return run
}

func (r *Runner) loss(ctx context.Context, cfg rawlink.Config) (run result.Run, err error) {
	var before netlink.LinkStatistics
	e, err := r.openRaw(ctx, cfg, func(lab *netlab.Lab) (err error) {
		before, err = counters(lab.Stack)
		return err
	})
	if err != nil {
		return run, err
	}
	defer func() { err = e.close(err) }()
	lab, server, client := e.lab, e.server, e.client
	if err := lab.WaitCarrier(); err != nil {
		return run, err
	}
	if err := pause(ctx, r.RawWindow); err != nil {
		return run, err
	}
	client.Release()
	var sent, got rawlink.Result
	if err := client.Next(ctx, child.KindDone, patience, &sent); err != nil {
		return run, err
	}
	if err := pause(ctx, settle); err != nil {
		return run, err
	}
	after, err := counters(lab.Stack)
	if err != nil {
		return run, err
	}
	server.Release()
	if err := server.Next(ctx, child.KindDone, patience, &got); err != nil {
		return run, err
	}
	delivered := after.RxPackets - before.RxPackets
	run = result.Run{Value: max(float64(delivered)-float64(got.Frames), 0), Seconds: sent.Seconds, Mode: got.Mode}
	missed := after.RxMissedErrors + after.RxFifoErrors + after.RxOverErrors
	missed -= before.RxMissedErrors + before.RxFifoErrors + before.RxOverErrors
	run.Extra = map[string]float64{
		Offered: float64(sent.Frames) / sent.Seconds / 1e6, Delivered: float64(delivered) / sent.Seconds / 1e6, Missed: float64(missed),
		"socket dropped": float64(got.Dropped),
	}
	return run, nil
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}

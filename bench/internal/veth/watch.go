package veth

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/bench/internal/result"
	"github.com/xdpstack/xdpstack/bench/internal/watch"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// Figures of a server that is watched.
const (
	ThroughputCost = "throughput %"       // of the requests a second, for one look a second
	LookCPU        = "CPU ms/look"        // of the server's process; the value is the same for one look a second, in percent of a CPU
	LookBytes      = "KiB/look"           // of the answers
	CalmRequests   = "requests/s"         // while nobody looks
	CalmCPU        = "CPU µs/request"     // the same
	WatchedCPU     = "watched µs/request" // with all looks
	LooksTaken     = "looks/s"
)

// Watching says how a server is watched.
type Watching struct {
	Kind   string
	Rate   float64 // looks a second
	Pairs  int     // stretches with looks, and as many without
	Length time.Duration
}

// Watch starts a server in a laboratory of its own, has it answer as many requests as it can, and looks at it in every second stretch of
// time. What a look costs is the processor time of the server's process in such a stretch, beyond what the requests in it took at the price
// of the stretch beside it.
func (r *Runner) Watch(ctx context.Context, s Server, w Watching) result.Run {
	run, err := r.watch(ctx, s, w)
	if err != nil {
		return result.Run{Failed: err.Error()}
	}
	return run
}

func (r *Runner) watch(ctx context.Context, s Server, w Watching) (run result.Run, err error) {
	cfg := r.Lab
	cfg.Name, cfg.Queues = "bench", 1
	lab, err := netlab.New(cfg)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	if err := prepareClient(lab.Kernel); err != nil {
		return run, err
	}
	at := r.arena(lab, &s)
	ready, err := r.startServer(ctx, at, &s)
	if err != nil {
		return run, err
	}
	defer at.server.Stop()
	client, err := r.startAsking(ctx, at, w)
	if err != nil {
		return run, err
	}
	defer client.Stop()
	stretches, used, err := r.stretches(ctx, at, client, ready.Control, w)
	if err != nil {
		return run, err
	}
	run = weigh(stretches, used)
	run.Mode, run.Link = ready.Mode, describeLink(lab)
	runs := map[string]result.Run{"": run}
	if err := r.addCounters(ctx, at, &s, nil, runs); err != nil {
		return run, err
	}
	return runs[""], nil
}

// startAsking starts the client, and returns when its window has begun, which lasts longer than all stretches.
func (r *Runner) startAsking(ctx context.Context, at *arena, w Watching) (client *child.Process, err error) {
	client, err = start(at.lab.Kernel, r.command(2, "load", "-work", string(load.HTTP), "-client", string(OurClient),
		"-interface", at.lab.Kernel.Interface, "-own", clientAddress(1).String(), "-spin", "-1ns", "-conns", "256",
		"-address", at.lab.Stack.Address.Addr().String(), "-warmup", r.Warmup.String(),
		"-window", (10*time.Second+time.Duration(3*w.Pairs)*w.Length).String(), "-cpus", join(at.clientCPUs),
		"-congestion", r.Congestion))
	if err != nil {
		return nil, err
	}
	if err = client.Next(ctx, "ready", load.OpenPatience+patience, nil); err == nil {
		if err = r.bindReceivers(at); err == nil {
			err = client.Next(ctx, "start", patience+r.Warmup, nil)
		}
	}
	if err != nil {
		client.Stop()
	}
	return client, err
}

// stretches has the server watched, and returns the processor time that was used in each stretch.
func (r *Runner) stretches(
	ctx context.Context, at *arena, client *child.Process, socket string, w Watching,
) (all []watch.Stretch, used []spent, err error) {
	watcher, err := child.Start(r.command(1, "watch", "-socket", socket, "-kind", w.Kind, "-cpu", strconv.Itoa(r.ClientCPU),
		"-rate", strconv.FormatFloat(w.Rate, 'f', -1, 64), "-pairs", strconv.Itoa(w.Pairs), "-length", w.Length.String()))
	if err != nil {
		return nil, nil, err
	}
	defer watcher.Stop()
	for range 2 * w.Pairs {
		var clocks [2]reading
		for i, kind := range []string{"begin", "end"} {
			if err := watcher.Next(ctx, kind, patience+w.Length, nil); err != nil {
				return nil, nil, err
			}
			if clocks[i], err = r.read(at, client); err != nil {
				return nil, nil, err
			}
		}
		used = append(used, spent{clocks[1].server.since(clocks[0].server), clocks[1].client.since(clocks[0].client)})
	}
	err = watcher.Next(ctx, child.KindDone, patience, &all)
	return all, used, err
}

// spent is the processor time of both sides in a stretch.
type spent struct{ server, client result.CPU }

// weigh compares the stretches with looks with those beside them.
func weigh(all []watch.Stretch, used []spent) (run result.Run) {
	var percent, throughput, bytes, looks, requests, calm, watched []float64
	for i := 0; i+1 < len(all); i += 2 {
		c, w := i, i+1
		if all[c].Watched {
			c, w = w, c
		}
		cpu := func(k int) float64 { return used[k].server.Process }
		answered := func(k int) float64 { return all[k].Received / float64(len(app.KeepAlive)) }
		price := cpu(c) / answered(c)
		n := max(1, all[w].Looks)
		percent = append(percent, 100*(cpu(w)-price*answered(w))/n)
		before, now := answered(c)/all[c].Seconds, answered(w)/all[w].Seconds
		throughput = append(throughput, 100*(1-now/before)/(n/all[w].Seconds))
		bytes, looks = append(bytes, all[w].Bytes/n/1024), append(looks, all[w].Looks/all[w].Seconds)
		requests, calm, watched = append(requests, before), append(calm, price*1e6), append(watched, cpu(w)/answered(w)*1e6)
		run.Seconds += all[c].Seconds + all[w].Seconds
		for _, u := range used[i : i+2] {
			add(&run.Server, u.server)
			add(&run.Client, u.client)
		}
	}
	middle := func(v []float64) float64 { return result.Summarize(v).Median }
	run.Value = middle(percent)
	run.Extra = map[string]float64{
		ThroughputCost: middle(throughput), LookCPU: 10 * run.Value, LookBytes: middle(bytes), LooksTaken: middle(looks),
		CalmRequests: middle(requests), CalmCPU: middle(calm), WatchedCPU: middle(watched),
	}
	return run
}

func add(sum *result.CPU, c result.CPU) {
	sum.Process += c.Process
	sum.Receive += c.Receive
	sum.Core += c.Core
}

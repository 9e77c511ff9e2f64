package veth

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/child"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/internal/impair/hop"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// Path is a bad path between the sides, the same in both directions: a hop of internal/impair.
type Path struct {
	Delay time.Duration // one way
	Loss  float64       // probability, of each packet in either direction
	Rate  int64         // bits per second; 0: no limit
	Queue int           // packets that wait at Rate, at most
	Seed  uint64        // of the losses
}

// PathServers are the sides on a bad path, the first one ours. No end has an offload, so both send and get the same frames.
var PathServers = []Server{Ours, Kernel}

// PathWork is bulk work in one direction over a bad path.
func PathWork(name string, work load.Work, conns int) Work {
	return Work{Name: name, Work: work, Conns: conns, Unit: "Mbit/s", Scale: 8e-6, Client: KernelClient}
}

// startHop starts the hop of the path, if there is one.
func (r *Runner) startHop(ctx context.Context, lab *netlab.Lab) (*child.Process, error) {
	if r.Path == nil {
		return nil, nil
	}
	p := r.Path
	cmd := r.command(1, "hop", "-a", lab.Hop.Stack.Interface, "-b", lab.Hop.Kernel.Interface,
		"-delay", p.Delay.String(), "-loss", strconv.FormatFloat(p.Loss, 'g', -1, 64), "-rate", strconv.FormatInt(p.Rate, 10),
		"-queue", strconv.Itoa(p.Queue), "-seed", strconv.FormatUint(p.Seed, 10), "-cpu", strconv.Itoa(r.ClientCPU))
	h, err := start(lab.Hop.Stack, cmd)
	if err != nil {
		return nil, err
	}
	if err := h.Next(ctx, "ready", patience, nil); err != nil {
		h.Stop()
		return nil, fmt.Errorf("hop: %w", err)
	}
	return h, nil
}

// explain adds what tells why a run over a bad path went as it did: what the hop did to the packets, and what the kernels counted.
func (r *Runner) explain(ctx context.Context, lab *netlab.Lab, s Server, h *child.Process, extra map[string]float64) error {
	h.Release()
	var stats [2]hop.Stats
	if err := h.Next(ctx, child.KindDone, patience, &stats); err != nil {
		return fmt.Errorf("hop: %w", err)
	}
	for i, side := range []string{"server", "client"} {
		st := &stats[i]
		extra["hop_from_"+side] = float64(st.Packets)
		extra["hop_lost_from_"+side] = float64(st.Lost)
		extra["hop_queue_full_from_"+side] = float64(st.QueueFull)
		// What the path did not ask for.
		extra["hop_refused_from_"+side] = float64(st.Refused + st.Overrun + st.NoRoom + st.Unfinished + st.TooLong)
		extra["hop_late_µs_from_"+side] = float64(st.Late.Microseconds()) / float64(max(st.Sent, 1))
		extra["hop_latest_µs_from_"+side] = float64(st.Latest.Microseconds())
	}
	if err := kernelCounters(lab.Kernel, "client_", extra); err != nil {
		return err
	}
	if !s.Kernel {
		return nil
	}
	return kernelCounters(lab.Stack, "server_", extra)
}

// kernelCounters adds the counters of a namespace's TCP that are not zero.
func kernelCounters(side *netlab.Side, prefix string, extra map[string]float64) error {
	return side.Do(func() error {
		for _, file := range []string{"/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"} {
			b, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("veth: counters of %s: %w", side.Namespace, err)
			}
			parseCounters(string(b), prefix, extra)
		}
		return nil
	})
}

// parseCounters reads pairs of lines, "Tcp: Name Name" and "Tcp: 1 2".
func parseCounters(text, prefix string, extra map[string]float64) {
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || (f[0] != "Tcp:" && f[0] != "TcpExt:") {
			continue
		}
		if len(names) == 0 {
			names = f
			continue
		}
		for i := 1; i < min(len(names), len(f)); i++ {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil && v > 0 {
				extra[prefix+names[i]] = v
			}
		}
		names = nil
	}
}

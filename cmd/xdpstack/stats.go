package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/internal/snapshot"
)

type statsCommand struct {
	streams
	process  processFlags
	asJSON   bool
	all      bool
	watch    bool
	interval time.Duration
}

func newStats(io streams) *cobra.Command {
	s := &statsCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "stats [PID]",
		Short: "Show the counters of a running xdpstack process",
		Long: `Asks a running process, through its control socket, for its counters: what came in and went out, and
where each packet went that was dropped, with what to do about it. Without PID, the only process that
runs is meant. --watch shows what is added in each interval.`,
		Example: "  sudo xdpstack stats\n  sudo xdpstack stats --watch --interval 2s\n  sudo xdpstack stats 4711 --json | jq .connections",
		RunE:    s.run,
	}
	s.process.register(cmd)
	cmd.Flags().BoolVar(&s.asJSON, "json", false, "write JSON; one line for each interval with --watch")
	cmd.Flags().BoolVar(&s.all, "all", false, "show the counters that are zero, too")
	cmd.Flags().BoolVarP(&s.watch, "watch", "w", false, "go on until interrupted, showing what is added in each interval")
	cmd.Flags().DurationVar(&s.interval, "interval", time.Second, "time between two looks with --watch")
	return cmd
}

func (s *statsCommand) run(cmd *cobra.Command, args []string) error {
	if s.interval < 10*time.Millisecond {
		return usagef("--interval %v: want 10ms or more", s.interval)
	}
	client, err := s.process.find(s.err, args)
	if err != nil {
		return err
	}
	snap, err := fetch(cmd.Context(), client)
	if err != nil {
		return err
	}
	if !s.watch {
		return s.show(&snap, 0)
	}
	return s.follow(cmd.Context(), client, snap)
}

func fetch(ctx context.Context, client control.Client) (snap snapshot.Snapshot, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = client.Get(ctx, "/stats", &snap)
	return snap, err
}

// follow shows the difference to the look before, until the context ends or the process does.
func (s *statsCommand) follow(ctx context.Context, client control.Client, before snapshot.Snapshot) error {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := fetch(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		diff := now.Since(&before)
		if err := s.show(&diff, now.Time.Sub(before.Time)); err != nil {
			return err
		}
		before = now
	}
}

// show prints a snapshot; over, if not 0, is the time that the counters are of.
func (s *statsCommand) show(snap *snapshot.Snapshot, over time.Duration) error {
	if s.asJSON {
		if s.watch {
			return json.NewEncoder(s.out).Encode(snap)
		}
		return writeJSON(s.out, snap)
	}
	addresses := strings.Join(append([]string{snap.Address}, snap.Addresses...), " ")
	fmt.Fprintf(s.out, "%s  %s on %s: %d shards, %d connections, %d half open, %d in TIME-WAIT\n",
		snap.Time.Format(time.TimeOnly), addresses, snap.Device, snap.Shards, snap.Connections, snap.HalfOpen, snap.TimeWait)
	if n, reason := snap.Copied(); n > 0 {
		fmt.Fprintf(s.out, "frames are copied on %d of %d queues: %s\n", n, len(snap.Queues), reason)
	}
	if n := snap.Value("steer_passed_no_socket"); n > 0 {
		fmt.Fprintf(s.out, "%d frames for the stack came to queues that it does not serve, and went to the kernel: serve all queues\n", n)
	}
	fmt.Fprint(s.out, defence(snap.Shield, snap.Filter, snap.Queues))
	if len(snap.Queues) > 1 {
		s.queues(snap, over)
	}
	s.counters(snap, over)
	s.drops(snap)
	fmt.Fprintln(s.out)
	return nil
}

// defence says what the XDP program is told to refuse and answer, in a line; nothing, if it can do neither.
func defence(shield string, f *snapshot.Filter, queues []snapshot.Queue) string {
	var parts []string
	if shield != "" {
		text := "shield " + shield
		for i := range queues {
			if q := &queues[i]; q.Pressed {
				text += fmt.Sprintf(", queue %d under pressure (%d SYNs)", q.Number, q.Pressure)
			}
		}
		parts = append(parts, text)
	}
	if f != nil {
		text := "filter without rules"
		if f.Rules {
			text = "filter with rules"
		}
		for _, r := range []struct {
			name string
			rate snapshot.Rate
		}{{"SYNs", f.SYNs}, {"packets", f.Packets}} {
			if r.rate.PerSecond > 0 {
				text += fmt.Sprintf(", %d %s/s of a source", r.rate.PerSecond, r.name)
			}
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "; ") + "\n"
}

// queues prints what each queue has to do.
func (s *statsCommand) queues(snap *snapshot.Snapshot, over time.Duration) {
	t := newTable(s.out, table.Row{"queue", "mode", "connections", "received", "sent", "passed on", "taken over"}, 3, 4, 5, 6, 7)
	for _, q := range snap.Queues {
		row := table.Row{q.Number, q.Mode, q.Connections}
		for _, n := range []uint64{q.Received, q.Sent, q.PassedOn, q.TakenOver} {
			row = append(row, perSecond(metrics.Metric{Value: n}, over))
		}
		t.AppendRow(row)
	}
	t.Render()
}

func (s *statsCommand) counters(snap *snapshot.Snapshot, over time.Duration) {
	header := table.Row{"counter", "value", "meaning"}
	if over > 0 {
		header[1] = "per second"
	}
	t := newTable(s.out, header, 2)
	for _, m := range snap.Metrics {
		if m.Value == 0 && !s.all || snapshot.IsDrop(m) && !s.all {
			continue
		}
		t.AppendRow(table.Row{m.Name, perSecond(m, over), m.Help})
	}
	t.Render()
}

func perSecond(m metrics.Metric, over time.Duration) string {
	if over <= 0 || m.Gauge {
		return fmt.Sprint(m.Value)
	}
	return fmt.Sprintf("%.0f", float64(m.Value)/over.Seconds())
}

func (s *statsCommand) drops(snap *snapshot.Snapshot) {
	drops := snap.Drops()
	if len(drops) == 0 {
		fmt.Fprintln(s.out, "nothing was dropped")
		return
	}
	t := newTable(s.out, table.Row{"dropped", "packets", "why, and what to do"}, 2)
	for _, m := range drops {
		t.AppendRow(table.Row{m.Name, m.Value, m.Help})
		if cure := snapshot.Cure(m.Name); cure != "" {
			t.AppendRow(table.Row{"", "", "→ " + cure})
		}
	}
	t.Render()
}

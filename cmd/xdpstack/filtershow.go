package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/filter"
)

func (f *filterCommand) show(cmd *cobra.Command, _ []string) error {
	s, err := f.state(cmd.Context())
	if err != nil {
		return err
	}
	if f.asJSON {
		return writeJSON(f.out, s)
	}
	if len(s.Rules) > 0 {
		t := newTable(f.out, table.Row{"prefix", "", "dropped", "ends in"}, 3)
		for _, r := range s.Rules {
			row := table.Row{r.Prefix, r.Verdict, "", ""}
			if r.Verdict == filter.Deny {
				row[2] = r.Dropped
			}
			if !r.Until.IsZero() {
				row[3] = max(time.Until(r.Until), 0).Round(time.Second)
			}
			t.AppendRow(row)
		}
		t.Render()
	} else {
		fmt.Fprintln(f.out, "no rules: every source is let in")
	}
	d := s.Dropped
	fmt.Fprintf(f.out, "\nof each source: SYNs %s, packets %s\ndropped: %d of denied sources, %d SYNs and %d packets beyond the rates\n",
		describeRate(s.Rates.SYNs), describeRate(s.Rates.Packets), d.Denied, d.SourceSYNRate, d.SourceRate)
	return nil
}

func describeRate(r filter.Rate) string {
	if r.PerSecond == 0 || r.Burst == 0 {
		return r.String()
	}
	return fmt.Sprintf("%v (%d at once)", r, r.Burst)
}

func (f *filterCommand) top(cmd *cobra.Command, _ []string) error {
	if f.most < 1 || f.most > 10_000 {
		return usagef("-n %d: want 1 to 10000", f.most)
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	var all []bpf.Offender
	ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
	defer cancel()
	if err := client.Get(ctx, fmt.Sprintf("/filter/top?n=%d", f.most), &all); err != nil {
		return err
	}
	if f.asJSON {
		return writeJSON(f.out, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(f.out, "nothing was dropped")
		return nil
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	t := newTable(f.out, table.Row{"source", "denied", "SYN rate", "packet rate", "last"}, 2, 3, 4)
	for _, o := range all {
		t.AppendRow(table.Row{
			o.Source, o.Dropped.Denied, o.Dropped.SourceSYNRate, o.Dropped.SourceRate,
			fmt.Sprintf("%v ago", time.Duration(now.Nano()-o.Last).Round(time.Millisecond)),
		})
	}
	t.Render()
	return nil
}

package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/tune"
)

// tuneFlags are what tune is told.
type tuneFlags struct {
	tuner               tune.Tuner
	apply, undo, asJSON bool
}

func newTune(io streams) *cobra.Command {
	var f tuneFlags
	cmd := &cobra.Command{
		Use:   "tune -i IFACE [--apply | --undo]",
		Short: "Propose, apply or take back system settings that suit an interface",
		Long: `Looks at the system settings that matter for an interface: queues, hardware rings, interrupt
coalescing and affinity, large receive offload, deferral of the kernel's receive work, huge pages.
It proposes values and changes nothing. What the device lacks is skipped, and said.

With --apply the proposed values are set. What was before is kept in a file, from which --undo sets it
again, except for what somebody else has changed since. The file is lost at a reboot, as the settings
are. Do it before xdpstack starts: most drivers take the link down for a moment, and another number of
queues is refused while AF_XDP sockets are open.

The exit code is 1 if a setting could not be changed.`,
		Example: "  xdpstack tune -i eth0\n  sudo xdpstack tune -i eth0 --queues 4 --apply\n  sudo xdpstack tune -i eth0 --undo\n" +
			"  xdpstack tune -i eth0 --json | jq '.[] | select(.state == \"change\")'",
		Args: exactly(0, ""),
		RunE: func(*cobra.Command, []string) error { return f.run(io) },
	}
	cmd.Flags().StringVarP(&f.tuner.Interface, "interface", "i", "", "network interface (required)")
	cmd.Flags().BoolVar(&f.apply, "apply", false, "set the proposed values")
	cmd.Flags().BoolVar(&f.undo, "undo", false, "set what was before --apply")
	cmd.Flags().IntVar(&f.tuner.Queues, "queues", 0, "queues to have (default one for each two CPUs)")
	cmd.Flags().BoolVar(&f.tuner.BusyPoll, "busy-poll", false, "propose what suits serve --busy-poll, on a card whose driver can")
	cmd.Flags().StringSliceVar(&f.tuner.Only, "only", nil, "settings to look at, by parts of their names (default all)")
	cmd.Flags().StringVar(&f.tuner.Path, "state", "", "file that keeps what was before (default /run/xdpstack-tune/IFACE.json)")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "write JSON")
	if err := cmd.RegisterFlagCompletionFunc("interface", completeInterface); err != nil {
		panic(err)
	}
	return cmd
}

func (f *tuneFlags) run(io streams) error {
	switch {
	case f.tuner.Interface == "":
		return usagef("which interface? give -i IFACE")
	case f.apply && f.undo:
		return usagef("--apply and --undo: give one of them")
	case f.tuner.Queues < 0:
		return usagef("--queues %d: want at least 1", f.tuner.Queues)
	}
	do := f.tuner.Propose
	switch {
	case f.apply:
		do = f.tuner.Apply
	case f.undo:
		do = f.tuner.Undo
	}
	settings, err := do()
	if err != nil {
		return err
	}
	if f.asJSON {
		if settings == nil {
			settings = []tune.Setting{}
		}
		err = writeJSON(io.out, settings)
	} else {
		f.print(io, settings)
	}
	if err == nil && !tune.Worked(settings) {
		err = errReported
	}
	return err
}

func (f *tuneFlags) print(io streams, settings []tune.Setting) {
	if f.undo && len(settings) == 0 {
		fmt.Fprintf(io.out, "Nothing to undo: tune --apply has changed nothing of %s.\n", f.tuner.Interface)
		return
	}
	t := newTable(io.out, table.Row{"", "setting", "now", "proposed", ""})
	changes := 0
	for _, s := range settings {
		note := s.Why
		switch s.State {
		case tune.Good, tune.Undone:
			note = ""
		case tune.Change:
			changes++
		case tune.Skipped, tune.Failed, tune.Kept:
			note = s.Reason
		}
		t.AppendRow(table.Row{string(s.State), s.Name, s.Now, s.Want, note})
	}
	t.Render()
	switch {
	case f.apply:
		fmt.Fprintf(io.out, "\nTake it back with: xdpstack tune -i %s --undo\n", f.tuner.Interface)
	case !f.undo && changes > 0:
		fmt.Fprintf(io.out, "\n%d to change. Set them with: xdpstack tune -i %s --apply\n", changes, f.tuner.Interface)
	}
}

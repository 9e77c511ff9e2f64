package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/config"
)

func newReload(io streams) *cobra.Command {
	var process processFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload [PID]",
		Short: "Have a running process read its configuration again",
		Long: `Asks a running process, through its control socket, to read the file again that it was started with
(serve --config). Shows what has changed. If the file is wrong, or something changed that needs a restart,
nothing is taken over, and the exit code is 1. Connections stay open.

SIGHUP does the same; the process's log has what came of it.`,
		Example: "  sudo xdpstack check /etc/xdpstack/eth0.toml && sudo xdpstack reload\n  sudo xdpstack reload 4711 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := process.find(io.err, args)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			var o config.Outcome
			if err := client.Post(ctx, "/reload", nil, &o); err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(io.out, o)
			} else {
				showOutcome(io, &o)
			}
			if err == nil && !o.Applied {
				err = errReported
			}
			return err
		},
	}
	process.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func showOutcome(io streams, o *config.Outcome) {
	for _, p := range o.Problems {
		fmt.Fprintln(io.err, p)
	}
	if len(o.Problems) > 0 {
		fmt.Fprintln(io.err, "xdpstack: refused as a whole, everything stays as it is")
		return
	}
	if len(o.Changes) == 0 {
		fmt.Fprintf(io.out, "nothing in %s has changed\n", o.File)
		return
	}
	t := newTable(io.out, table.Row{"setting", "before", "now", ""})
	for _, c := range o.Changes {
		note := ""
		if !c.Live {
			note = "needs a restart"
		}
		t.AppendRow(table.Row{c.Key, orDefault(c.From), orDefault(c.To), note})
	}
	t.Render()
	if !o.Applied {
		fmt.Fprintln(io.err, "xdpstack: refused as a whole, everything stays as it is: restart the process for these changes")
	}
}

func orDefault(s string) string {
	if s == "" {
		return "(default)"
	}
	return s
}

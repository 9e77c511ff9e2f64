package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/control"
)

// processFlags say which running process is meant: by its PID, the only argument, by its control socket, or as the only one that runs.
type processFlags struct{ socket string }

func (f *processFlags) register(cmd *cobra.Command) {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("too many arguments: %s", strings.Join(args[1:], " "))
		}
		return nil
	}
	cmd.ValidArgsFunction = completePID
	f.registerSocket(cmd)
}

// registerSocket is for commands that have other arguments than the PID, or more.
func (f *processFlags) registerSocket(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.socket, "socket", "", "path of the control socket, instead of a PID")
}

func completePID(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, _ := control.List() // no offer is better than an error in the middle of a line
	var out []string
	for _, p := range all {
		out = append(out, fmt.Sprintf("%d\t%s", p.PID, p.Command))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// find returns who is to be asked. Where several processes run, and none is named, it shows them on w.
func (f *processFlags) find(w io.Writer, args []string) (c control.Client, err error) {
	if f.socket != "" {
		return control.Client{Path: f.socket}, nil
	}
	all, err := control.List()
	if err != nil {
		return c, err
	}
	if len(args) == 1 {
		for _, p := range all {
			if fmt.Sprint(p.PID) == args[0] {
				return control.Client{Path: p.Path}, nil
			}
		}
		return c, fmt.Errorf("process %s has no control socket in %s; it may belong to another user", args[0], control.Dir())
	}
	switch len(all) {
	case 0:
		return c, fmt.Errorf("no xdpstack process of this user runs: there is no control socket in %s (those of root need sudo)",
			control.Dir())
	case 1:
		return control.Client{Path: all[0].Path}, nil
	}
	t := newTable(w, table.Row{"PID", "command"})
	for _, p := range all {
		t.AppendRow(table.Row{p.PID, p.Command})
	}
	t.Render()
	return c, errors.New("several processes run: say which, by PID")
}

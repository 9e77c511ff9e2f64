package main

import (
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/daemon"
)

// newGuard is not for users: serve starts it before it gives up its privileges.
func newGuard() *cobra.Command {
	var g daemon.Guard
	cmd := &cobra.Command{
		Use:    "guard",
		Short:  "Clear up after a process that gave up its privileges",
		Hidden: true,
		Args:   exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// These are sent to all of a unit, or of a terminal; what counts is the end of the process.
			signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
			return g.Run(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&g.PID, "pid", 0, "the process")
	cmd.Flags().StringVar(&g.Socket, "socket", "", "its control socket")
	cmd.Flags().StringVar(&g.Name, "name", "", "and the name that this has in the end")
	cmd.Flags().StringVar(&g.Interface, "interface", "", "its interface")
	cmd.Flags().StringVar(&g.Pin, "pin", "", "where its program is pinned")
	return cmd
}

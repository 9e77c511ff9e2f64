package main

import (
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/stack"
)

// daemonFlags say how a process that serves lives, whatever it serves.
type daemonFlags struct {
	cpus    []int
	spin    time.Duration
	logJSON bool
	socket  control.Config
}

func (f *daemonFlags) register(cmd *cobra.Command) {
	cmd.Flags().IntSliceVar(&f.cpus, "cpus", nil, "CPU of each queue's shard, -1 for any (default near the interrupt, where there is one)")
	cmd.Flags().DurationVar(&f.spin, "spin", 0, "how long an idle shard polls before it sleeps, if it pays; -1s: not at all (default 50µs)")
	cmd.Flags().BoolVar(&f.logJSON, "log-json", false, "log in JSON")
	cmd.Flags().StringVar(&f.socket.Path, "socket", "", "path of the control socket for stats (default: by PID in "+control.Dir()+")")
}

// config makes a daemon's configuration of a stack's. It logs to w.
func (f *daemonFlags) config(st stack.Config, w io.Writer) daemon.Config {
	st.CPUs, st.SpinTime = f.cpus, f.spin
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	cfg := daemon.Config{Stack: st, Control: f.socket, Log: slog.New(slog.NewTextHandler(w, options))}
	if f.logJSON {
		cfg.Log = slog.New(slog.NewJSONHandler(w, options))
	}
	return cfg
}

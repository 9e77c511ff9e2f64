package main

import (
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/broker"
	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/web"
	"github.com/xdpstack/xdpstack/stack"
)

// daemonFlags say how a process that serves lives, whatever it serves.
type daemonFlags struct {
	cpus     []int
	spin     time.Duration
	logJSON  bool
	level    slog.LevelVar // can be changed later
	logLevel string
	drain    time.Duration
	crash    string
	socket   control.Config
	web      web.Listener
	drop     privilegeFlags
	broker   string
}

func (f *daemonFlags) register(cmd *cobra.Command) {
	cmd.Flags().IntSliceVar(&f.cpus, "cpus", nil, "CPU of each queue's shard, -1 for any (default near the interrupt, where there is one)")
	cmd.Flags().DurationVar(&f.spin, "spin", 0, "how long an idle shard polls before it sleeps, if it pays; -1s: not at all (default 50µs)")
	cmd.Flags().BoolVar(&f.logJSON, "log-json", false, "log in JSON")
	cmd.Flags().StringVar(&f.logLevel, "log-level", "info", "log what is at least so important: debug, info, warn or error")
	choices(cmd, "log-level", "debug", "info", "warn", "error")
	cmd.Flags().StringVar(&f.web.Address, "web", "",
		"give the dashboard, metrics and health over TCP too: a port, of 127.0.0.1, or ADDR:PORT")
	cmd.Flags().BoolVar(&f.web.Anyone, "web-anyone", false, "with --web: although other hosts reach that address, and there is no password")
	cmd.Flags().BoolVar(&f.web.Profiles, "web-pprof", false, "with --web: Go's profiles too, under /debug/pprof/")
	f.drop.register(cmd)
	cmd.Flags().StringVar(&f.broker, "broker", "", "get the interface from xdpstack broker, whose socket this is")
	cmd.Flags().DurationVar(&f.drain, "drain", daemon.DefaultDrain,
		"how long open connections may take to end with the process; 0s: no time")
	cmd.Flags().StringVar(&f.crash, "crash", "clean", "what a killed process leaves behind: clean, nothing; pin, the XDP program")
	choices(cmd, "crash", "clean", "pin")
	cmd.Flags().StringVar(&f.socket.Path, "socket", "", "path of the control socket for stats (default: by PID in "+control.Dir()+")")
}

// check finds mistakes in the flags.
func (f *daemonFlags) check() error {
	if f.level.UnmarshalText([]byte(f.logLevel)) != nil {
		return usagef("--log-level %s: want debug, info, warn or error", f.logLevel)
	}
	if err := f.drop.check(); err != nil {
		return err
	}
	if err := new(config.Crash).UnmarshalText([]byte(f.crash)); err != nil {
		return usagef("--crash %s: %w", f.crash, err)
	}
	if f.drain < 0 {
		return usagef("--drain %v: want 0s or more", f.drain)
	}
	if f.web.Address == "" {
		if f.web.Anyone || f.web.Profiles {
			return usagef("--web-anyone and --web-pprof belong to --web ADDR:PORT")
		}
		return nil
	}
	if err := f.web.Validate(); err != nil {
		return usagef("--web: %w", err)
	}
	return nil
}

// config makes a daemon's configuration of a stack's.
func (f *daemonFlags) config(st stack.Config, io streams) (daemon.Config, error) {
	if err := f.check(); err != nil {
		return daemon.Config{}, err
	}
	st.CPUs, st.SpinTime = f.cpus, f.spin
	st.AFXDP.Pin = f.crash == "pin"
	f.drop.keep.KernelSockets = f.drop.keep.KernelSockets || st.Shared // which reserve the ports
	if f.broker != "" {
		client := &broker.Client{Socket: f.broker}
		if !st.Shared {
			client.Addresses = append([]addrset.Range{{First: st.Address.Addr()}}, st.Addresses...)
		}
		st.OpenInterface, st.ReservePort = client.Open, client.Port // the stack keeps it, and with it the connection
	}
	options := &slog.HandlerOptions{Level: &f.level}
	cfg := daemon.Config{Stack: st, Control: f.socket, Web: f.web, Drain: f.drain, Log: slog.New(slog.NewTextHandler(io.err, options))}
	if f.drain == 0 {
		cfg.Drain = -1
	}
	if f.logJSON {
		cfg.Log = slog.New(slog.NewJSONHandler(io.err, options))
	}
	f.drop.apply(&cfg, io.own)
	return cfg, nil
}

package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/broker"
	"github.com/xdpstack/xdpstack/internal/privileges"
	"github.com/xdpstack/xdpstack/internal/sdnotify"
)

type brokerCommand struct {
	streams
	cfg       broker.Config
	addresses []string
	ports     []string
	memory    size
	drop      string
}

func newBroker(io streams) *cobra.Command {
	b := &brokerCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "broker -i IFACE {-a ADDR | --shared}",
		Short: "Open interfaces for servers that have no privileges",
		Long: `Waits on a Unix socket for xdpstack serve --broker, opens the interface for it, and hands over the open
sockets, memory and XDP program: the process that parses packets never has a privilege. An interface is
given to one process at a time, and is left clean when that ends. When the broker ends, servers go on.

Who may ask is decided by user and group. Root may, and the broker's own user.`,
		Example: `  sudo xdpstack broker -i eth0 -a 192.0.2.10 --allow-user www-data
  sudo -u www-data xdpstack serve --broker /run/xdpstack-broker/broker.sock -i eth0 -a 192.0.2.10/24 http
  sudo xdpstack broker -i eth0 --shared --ports 80,443 --allow-user www-data
  sudo -u www-data xdpstack serve --broker /run/xdpstack-broker/broker.sock -i eth0 --shared http`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringSliceVarP(&b.cfg.Interfaces, "interface", "i", nil, "interfaces that may be asked for (required)")
	f.StringSliceVarP(&b.addresses, "address", "a", nil, "addresses that servers may take: single ones, prefixes, ranges (or --shared)")
	f.BoolVar(&b.cfg.Shared, "shared", false, "servers may share the kernel's addresses (serve --shared)")
	f.StringSliceVar(&b.ports, "ports", nil, "with --shared: ports below 1024 that servers may have, as 80,443,500-600")
	f.StringSliceVar(&b.cfg.Users, "allow-user", nil, "users who may ask: names or UIDs")
	f.StringSliceVar(&b.cfg.Groups, "allow-group", nil, "groups whose members may ask: names or GIDs")
	f.Var(&b.memory, "memory", "packet memory that an interface may have (default 1GiB)")
	f.IntVar(&b.cfg.Queues, "queues", 0, "queues of an interface that may be open (default 64)")
	f.StringVar(&b.cfg.Socket, "socket", broker.DefaultSocket, "path of the socket")
	f.StringVar(&b.drop, "seccomp", string(privileges.On), "what needless system calls do: on (fail), kill, log, off")
	choices(cmd, "seccomp", seccompModes()...)
	if err := cmd.RegisterFlagCompletionFunc("interface", completeInterface); err != nil {
		panic(err)
	}
	return cmd
}

func (b *brokerCommand) run(ctx context.Context) error {
	for _, s := range b.addresses {
		r, err := addrset.Parse(s)
		if err != nil {
			return usagef("-a: %w", err)
		}
		b.cfg.Addresses = append(b.cfg.Addresses, r)
	}
	for _, s := range b.ports {
		r, err := broker.ParsePorts(s)
		if err != nil {
			return usagef("--ports: %w", err)
		}
		b.cfg.Ports = append(b.cfg.Ports, r)
	}
	b.cfg.Memory = int64(b.memory)
	if err := b.cfg.Validate(); err != nil {
		return usageError{err}
	}
	mode := privileges.Mode(b.drop)
	if err := (privileges.Config{Seccomp: mode}).Validate(); err != nil {
		return usageError{err}
	}
	log := slog.New(slog.NewTextHandler(b.err, nil))
	manager, err := sdnotify.Find()
	if err != nil {
		return err
	}
	defer manager.Close()
	s, err := broker.Listen(b.cfg, log)
	if err != nil {
		return err
	}
	if b.own {
		keep := []int{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_IPC_LOCK}
		if len(b.cfg.Ports) > 0 {
			keep = append(keep, unix.CAP_NET_BIND_SERVICE)
		}
		if err := privileges.Helper(privileges.Broker(len(b.cfg.Ports) > 0), mode, keep...); err != nil {
			return err
		}
	}
	if err := manager.Tell(sdnotify.Ready, sdnotify.Status("for %v", b.cfg.Interfaces)); err != nil {
		log.Warn("not told", "error", err)
	}
	log.Info("ready", "socket", b.cfg.Socket, "interfaces", b.cfg.Interfaces, "addresses", b.addresses)
	return s.Run(ctx)
}

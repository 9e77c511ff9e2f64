package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/proxy"
	"github.com/xdpstack/xdpstack/stack"
)

type proxyCommand struct {
	streams
	link    linkFlags
	process daemonFlags
	listen  string
	to      []string
	cfg     proxy.Config
}

func newProxy(io streams) *cobra.Command {
	p := &proxyCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "proxy -i IFACE -a ADDR/LEN --listen :PORT --to TARGET",
		Short: "Hand connections on to an unmodified server",
		Long: `Accepts TCP connections on the stack and hands them on, byte by byte, to a server that knows nothing of it:

  kernel:ADDR:PORT   through the kernel's sockets, to a server on this machine or behind another interface
  kernel:/PATH       the same, to a Unix socket
  stack:ADDR:PORT    through the stack, to another host on its network or behind its gateway

The server sees this machine as the client, unless --proxy-protocol tells it who the client is (PROXY
protocol, version 2; nginx: listen ... proxy_protocol; HAProxy: accept-proxy). A half that is closed is
closed on the other side, a reset is passed on. xdpstack stats shows what was handed on.

Several servers (--to again) take turns. One that refuses, or does not answer within --timeout, is left
out for a second, and the connection goes to the next. For a configuration file, reloaded while it runs, or
several ports, see "xdpstack serve --config" with services named proxy.`,
		Example: `  sudo xdpstack proxy -i eth0 -a 192.0.2.10/24 --listen :80 --to kernel:127.0.0.1:8080
  sudo xdpstack proxy -i eth0 -a 192.0.2.10/24 --listen :80 --to kernel:/run/app.sock --proxy-protocol
  sudo xdpstack proxy -i eth0 -a 192.0.2.10/24 --listen :80 --to kernel:127.0.0.1:8080 --to kernel:127.0.0.1:8081
  sudo xdpstack proxy -i eth0 -a 192.0.2.10/24 --listen :5432 --to stack:192.0.2.20:5432 --idle 1h`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd) },
	}
	p.link.register(cmd)
	p.link.registerAddresses(cmd)
	cmd.Flags().StringVar(&p.listen, "listen", "", "port to accept on, :80, or one of the stack's addresses with a port (required)")
	cmd.Flags().StringArrayVar(&p.to, "to", nil,
		"the server: kernel:ADDR:PORT, kernel:/PATH or stack:ADDR:PORT; several: again (required)")
	cmd.Flags().BoolVar(&p.cfg.Header, "proxy-protocol", false,
		"tell the server who the client is, with a PROXY protocol header, version 2")
	cmd.Flags().DurationVar(&p.cfg.Connect, "timeout", 5*time.Second, "how long connecting to the server may take")
	cmd.Flags().DurationVar(&p.cfg.Idle, "idle", 0, "reset connections on which nothing passes for so long (default never)")
	p.process.register(cmd)
	return cmd
}

func (p *proxyCommand) run(cmd *cobra.Command) (err error) {
	switch {
	case p.listen == "":
		return usagef("which port? give --listen :PORT")
	case len(p.to) == 0:
		return usagef("hand connections on to whom? give --to kernel:ADDR:PORT, kernel:/PATH or stack:ADDR:PORT")
	case p.cfg.Connect <= 0:
		return usagef("--timeout %v: want more than 0", p.cfg.Connect)
	case p.cfg.Idle < 0:
		return usagef("--idle %v: want a time, or 0 for never", p.cfg.Idle)
	}
	for _, text := range p.to {
		to, err := proxy.ParseTarget(text)
		if err != nil {
			return usagef("--to: %w", err)
		}
		p.cfg.Targets = append(p.cfg.Targets, to)
	}
	if err := p.cfg.Check(); err != nil {
		return usagef("--to: %w", err)
	}
	st, err := p.link.config()
	if err != nil {
		return err
	}
	p.process.drop.keep.KernelSockets = true
	cfg, err := p.process.config(st, p.streams)
	if err != nil {
		return err
	}
	return daemon.Run(cmd.Context(), cfg, &proxyApp{listen: p.listen, cfg: p.cfg})
}

// proxyApp hands connections on.
type proxyApp struct {
	listen string
	cfg    proxy.Config
	proxy  *proxy.Proxy // nil: it has not started
}

func (a *proxyApp) Start(d *daemon.Daemon) error {
	a.proxy = proxy.New(d.Stack)
	for i, turn := range a.proxy.OnTurns() {
		if err := d.Stack.Shard(i).Do(func(sh *stack.Shard) { sh.SetOnTurn(turn) }); err != nil {
			return err
		}
	}
	watchProxy(d, a.proxy)
	route, err := a.proxy.Route(a.cfg)
	if err != nil {
		return err
	}
	ln, err := d.Stack.Handle(a.listen, route.Handler())
	if err != nil {
		return err
	}
	d.Log.Info("accepting", "service", "proxy", "address", ln.Addr().String(), "to", a.cfg.Targets)
	return nil
}

func (a *proxyApp) Close() error {
	if a.proxy == nil {
		return nil
	}
	return a.proxy.Close()
}

package main

import (
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/proxy"
)

type proxyCommand struct {
	streams
	link    linkFlags
	process daemonFlags
	listen  string
	to      string
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
closed on the other side, a reset is passed on. xdpstack stats shows what was handed on.`,
		Example: `  sudo xdpstack proxy -i eth0 -a 192.0.2.10/24 --listen :80 --to kernel:127.0.0.1:8080
  sudo xdpstack proxy -i eth0 -a 192.0.2.10/24 --listen :80 --to kernel:/run/app.sock --proxy-protocol
  sudo xdpstack proxy -i eth0 -a 192.0.2.10/24 --listen :5432 --to stack:192.0.2.20:5432 --idle 1h`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd) },
	}
	p.link.register(cmd)
	p.link.registerAddresses(cmd)
	cmd.Flags().StringVar(&p.listen, "listen", "", "port to accept on, :80, or one of the stack's addresses with a port (required)")
	cmd.Flags().StringVar(&p.to, "to", "", "the server: kernel:ADDR:PORT, kernel:/PATH or stack:ADDR:PORT (required)")
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
	case p.to == "":
		return usagef("hand connections on to whom? give --to kernel:ADDR:PORT, kernel:/PATH or stack:ADDR:PORT")
	case p.cfg.Connect <= 0:
		return usagef("--timeout %v: want more than 0", p.cfg.Connect)
	case p.cfg.Idle < 0:
		return usagef("--idle %v: want a time, or 0 for never", p.cfg.Idle)
	}
	if p.cfg.Target, err = proxy.ParseTarget(p.to); err != nil {
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

func (a *proxyApp) Start(d *daemon.Daemon) (err error) {
	if a.proxy, err = proxy.New(d.Stack, a.cfg); err != nil {
		return err
	}
	d.Counters.Register("proxy", func() (any, error) { return a.proxy.Stats() })
	d.Control.HandleJSON("GET /proxy", func(*http.Request) (any, error) { return a.proxy.Stats() })
	ln, err := d.Stack.Handle(a.listen, a.proxy.Handler())
	if err != nil {
		return err
	}
	d.Log.Info("accepting", "service", "proxy", "address", ln.Addr().String(), "to", a.cfg.Target.String())
	return nil
}

func (a *proxyApp) Close() error {
	if a.proxy == nil {
		return nil
	}
	return a.proxy.Close()
}

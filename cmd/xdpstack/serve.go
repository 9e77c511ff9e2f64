package main

import (
	"context"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/privileges"
	"github.com/xdpstack/xdpstack/internal/service"
)

type serveCommand struct {
	streams
	link    linkFlags
	process daemonFlags
	source  serveSource // which has the flags of the services too
}

// serviceNames are the services in the order of the help, with their ports.
var serviceNames = []struct {
	name string
	port uint16
}{
	{"echo", service.EchoPort}, {"discard", service.DiscardPort}, {"chargen", service.ChargenPort}, {"http", service.HTTPPort},
}

func newServe(io streams) *cobra.Command {
	s := &serveCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "serve {-i IFACE -a ADDR/LEN SERVICE... | --config FILE}",
		Short: "Serve echo, discard, chargen or http on an interface",
		Long: `Attaches to an interface, takes an address on its network that nobody has, and serves there until it is
interrupted; with --addresses on many more. The kernel's own addresses on the interface work on.
With --shared it serves on the kernel's addresses instead: the ports of the services are taken, and
everything else there stays the kernel's.

  echo     port 7   sends back what it gets; UDP too
  discard  port 9   throws away what it gets; UDP too
  chargen  port 19  sends a pattern for as long as somebody reads it; UDP too
  http     port 80  HTTP/1.1: the files under --root, bodies of --body bytes, or a built-in page

With --delay each request that http answers takes a time: to find in what a load generator measures what
was put in. It is one time for all, or several with the share of requests that each is for; stall:2s@10s
has nothing answered for 2 s, from 10 s after the first request on. The requests of a connection are
answered one after another.

Everything can be in a file instead (--config), which "xdpstack check" looks at first. SIGHUP, or
"xdpstack reload", has it read again: what can change at run time changes, and nothing does if the file is
wrong or has a change that needs a restart. A file can have the service proxy too, which does what the
command proxy does.

SIGTERM, Ctrl-C or "xdpstack stop" end the process in order: new connections are refused, those that are
open may end within --drain, and what is left then is reset. A second signal ends it at once.`,
		Example: `  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 --gateway 192.0.2.1 http --root /srv/www
  sudo xdpstack serve -i eth0 --shared http --root /srv/www
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 --shield auto http
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 echo --port 7007
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 echo discard chargen http
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 --addresses 198.51.100.0/24 http
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 http --body 16KiB --delay 5ms
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 http --delay 99%:1ms,1%:50ms,stall:2s@10s
  sudo xdpstack serve --config /etc/xdpstack/eth0.toml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.source.note(cmd, args)
			return s.run(cmd.Context())
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (left []string, _ cobra.ShellCompDirective) {
			for _, n := range serviceNames {
				if !contains(args, n.name) {
					left = append(left, n.name)
				}
			}
			return left, cobra.ShellCompDirectiveNoFileComp
		},
	}
	s.link.register(cmd)
	s.link.registerAddresses(cmd)
	s.link.registerShield(cmd)
	cmd.Flags().StringVar(&s.source.file, "config", "", "file with the configuration (see docs/deploy.md); flags win over it")
	cmd.Flags().Uint16P("port", "p", 0, "port, instead of the service's own; for one service")
	cmd.Flags().String("root", "", "directory that http serves, instead of the built-in page")
	cmd.Flags().Var(&sizeText{}, "body", "body of every answer of http, made up, whatever is asked for: 100, 16KiB")
	cmd.Flags().String("delay", "", "how long http takes for a request: 5ms, or 90%:1ms,10%:50ms, and stall:2s@10s")
	cmd.Flags().Bool("net-http", false, "serve http with Go's net/http, on net.Conn, instead of on the shards")
	s.process.register(cmd)
	return cmd
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (s *serveCommand) run(ctx context.Context) error {
	d, err := s.source.read()
	if err != nil {
		return err
	}
	if err := s.source.fill(d); err != nil {
		return err
	}
	st, err := s.link.config()
	if err != nil {
		return err
	}
	keep := &s.process.drop.keep
	for i := range d.Config.Service {
		keep.KernelSockets = keep.KernelSockets || needsSockets(&d.Config.Service[i])
	}
	cfg, err := s.process.config(st, s.streams)
	if err != nil {
		return err
	}
	app, err := newServices(d.Config.Service)
	if err != nil {
		return err
	}
	app.sockets = keep.KernelSockets || keep.Seccomp == privileges.Off
	cfg.Filter = d.Config.Filter.Settings()
	cfg.Control.Mode, cfg.Control.Group = fs.FileMode(d.Config.Control.Mode), d.Config.Control.Group
	if s.source.file != "" {
		r := &reloader{serveSource: &s.source, services: app, level: &s.process.level, present: d}
		cfg.Reload = r.reload
	}
	return daemon.Run(ctx, cfg, app)
}

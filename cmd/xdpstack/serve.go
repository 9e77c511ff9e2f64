package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/stack"
)

type serveCommand struct {
	streams
	link    linkFlags
	port    uint16
	root    string
	body    size
	delay   string
	web     service.HTTPConfig
	netHTTP bool
	process daemonFlags
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
		Use:   "serve -i IFACE -a ADDR/LEN SERVICE...",
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
answered one after another.`,
		Example: `  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 --gateway 192.0.2.1 http --root /srv/www
  sudo xdpstack serve -i eth0 --shared http --root /srv/www
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 echo --port 7007
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 echo discard chargen http
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 --addresses 198.51.100.0/24 http
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 http --body 16KiB --delay 5ms
  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 http --delay 99%:1ms,1%:50ms,stall:2s@10s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.web.Made = cmd.Flags().Changed("body")
			return s.run(cmd.Context(), args)
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
	cmd.Flags().Uint16VarP(&s.port, "port", "p", 0, "port, instead of the service's own; for one service")
	cmd.Flags().StringVar(&s.root, "root", "", "directory that http serves, instead of the built-in page")
	cmd.Flags().Var(&s.body, "body", "body of every answer of http, made up, whatever is asked for: 100, 16KiB")
	cmd.Flags().StringVar(&s.delay, "delay", "", "how long http takes for a request: 5ms, or 90%:1ms,10%:50ms, and stall:2s@10s")
	cmd.Flags().BoolVar(&s.netHTTP, "net-http", false, "serve http with Go's net/http, on net.Conn, instead of on the shards")
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

// check finds mistakes in the command line.
func (s *serveCommand) check(args []string) (stack.Config, error) {
	if len(args) == 0 {
		return stack.Config{}, usagef("which service? echo, discard, chargen or http")
	}
	for i, a := range args {
		known := false
		for _, n := range serviceNames {
			known = known || n.name == a
		}
		switch {
		case !known:
			return stack.Config{}, usagef("no service is called %q: there are echo, discard, chargen and http", a)
		case contains(args[:i], a):
			return stack.Config{}, usagef("%s is given twice", a)
		}
	}
	switch {
	case s.port != 0 && len(args) > 1:
		return stack.Config{}, usagef("--port is for one service, and there are %d", len(args))
	case (s.root != "" || s.netHTTP || s.web.Made || s.delay != "") && !contains(args, "http"):
		return stack.Config{}, usagef("--root, --body, --delay and --net-http belong to the service http")
	case s.root != "" && s.web.Made:
		return stack.Config{}, usagef("--root and --body: http serves files or made-up bodies, not both")
	}
	if s.delay != "" {
		d, err := service.ParseDelay(s.delay)
		if err != nil {
			return stack.Config{}, usagef("--delay: %w", err)
		}
		s.web.Delay = d
	}
	s.web.Root, s.web.Size = s.root, int64(s.body)
	return s.link.config()
}

func (s *serveCommand) run(ctx context.Context, args []string) error {
	st, err := s.check(args)
	if err != nil {
		return err
	}
	cfg, err := s.process.config(st, s.streams)
	if err != nil {
		return err
	}
	app := &services{names: args, port: s.port, netHTTP: s.netHTTP}
	if contains(args, "http") {
		if app.http, err = service.NewHTTP(s.web); err != nil {
			return err
		}
	}
	return daemon.Run(ctx, cfg, app)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/internal/snapshot"
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
	cpus    []int
	spin    time.Duration
	logJSON bool
	socket  string
	log     *slog.Logger
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

  echo     port 7   sends back what it gets; UDP too
  discard  port 9   throws away what it gets; UDP too
  chargen  port 19  sends a pattern for as long as somebody reads it; UDP too
  http     port 80  HTTP/1.1: the files under --root, bodies of --body bytes, or a built-in page

With --delay each request that http answers takes a time: to find in what a load generator measures what
was put in. It is one time for all, or several with the share of requests that each is for; stall:2s@10s
has nothing answered for 2 s, from 10 s after the first request on. The requests of a connection are
answered one after another.`,
		Example: `  sudo xdpstack serve -i eth0 -a 192.0.2.10/24 --gateway 192.0.2.1 http --root /srv/www
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
	cmd.Flags().IntSliceVar(&s.cpus, "cpus", nil, "CPU of each queue's shard, -1 for any (default near the interrupt, where there is one)")
	cmd.Flags().DurationVar(&s.spin, "spin", 0, "how long an idle shard polls before it sleeps, if it pays; -1s: not at all (default 50µs)")
	cmd.Flags().BoolVar(&s.logJSON, "log-json", false, "log in JSON")
	cmd.Flags().StringVar(&s.socket, "socket", "", "path of the control socket for stats (default: by PID in "+control.Dir()+")")
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
	cfg, err := s.link.config()
	cfg.CPUs, cfg.SpinTime = s.cpus, s.spin
	return cfg, err
}

func (s *serveCommand) run(ctx context.Context, args []string) (err error) {
	cfg, err := s.check(args)
	if err != nil {
		return err
	}
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	s.log = slog.New(slog.NewTextHandler(s.err, options))
	if s.logJSON {
		s.log = slog.New(slog.NewJSONHandler(s.err, options))
	}
	var web *service.HTTP
	if contains(args, "http") {
		if web, err = service.NewHTTP(s.web); err != nil {
			return err
		}
		defer web.Close()
	}
	cfg.LinkEvent = s.linkEvent
	st, err := stack.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s.warn(st)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	socket, err := control.Listen(s.socket, func() (any, error) { return snapshot.Take(st, time.Now()) })
	if err != nil {
		return err
	}
	failed := make(chan error, len(args)+1)
	controlDone := make(chan struct{})
	go func() { defer close(controlDone); failed <- socket.Run(ctx) }()
	defer func() { cancel(); <-controlDone }()

	for _, name := range args {
		if err := s.start(st, name, web, failed); err != nil {
			return err
		}
	}
	address := st.Address().String()
	for _, r := range st.Addresses() {
		address += " " + r.String()
	}
	s.log.Info("ready", "address", address, "device", st.Describe(), "services", strings.Join(args, " "),
		"control", socket.Path())
	select {
	case <-ctx.Done():
		s.log.Info("ending, as asked")
		return nil
	case err := <-failed:
		return err
	case <-st.Gone():
		return st.Err()
	}
}

// warn says what the stack runs without that it might have.
func (s *serveCommand) warn(st *stack.Stack) {
	if why := st.Interface().Program().Fallback(); why != nil {
		s.log.Warn("generic XDP, which costs throughput", "because", why)
	}
	for _, q := range st.Interface().Queues() {
		if why := q.Mode().NoZeroCopy; why != nil {
			s.log.Warn("no zero-copy: frames are copied", "queue", q.Index(), "because", why)
			break // the others' reason is the same, most likely; stats counts them
		}
	}
	if why := st.Interface().Queues()[0].Mode().NoMultiBuffer; why != nil {
		s.log.Warn("packets are smaller than the interface's MTU allows", "mtu", st.MTU(), "because", why)
	}
	if why := st.Interface().Queues()[0].Mode().NoTxChecksum; why != nil {
		s.log.Warn("the stack computes checksums", "because", why)
	}
}

// linkEvent logs what happens to the interface.
func (s *serveCommand) linkEvent(e stack.LinkEvent) {
	level := slog.LevelWarn
	if e.Kind == stack.LinkUp {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "link", "interface", e.Interface, "event", e.String())
}

// start begins one service.
func (s *serveCommand) start(st *stack.Stack, name string, web *service.HTTP, failed chan<- error) error {
	port := s.port
	for _, n := range serviceNames {
		if n.name == name && port == 0 {
			port = n.port
		}
	}
	address := net.JoinHostPort("", strconv.Itoa(int(port)))
	var handler stack.Handler
	var packets stack.PacketHandler
	switch name {
	case "echo":
		handler, packets = service.Echo{}, service.EchoPackets{}
	case "discard":
		handler, packets = service.Discard{}, service.DiscardPackets{}
	case "chargen":
		handler, packets = service.Chargen{}, service.ChargenPackets{}
	case "http":
		if s.netHTTP {
			return s.startNetHTTP(st, address, web, failed)
		}
		for i, turn := range web.OnTurns(st.Shards()) {
			if err := st.Shard(i).Do(func(sh *stack.Shard) { sh.SetOnTurn(turn) }); err != nil {
				return err
			}
		}
		handler = web
	}
	if _, err := st.Handle(address, handler); err != nil {
		return err
	}
	if packets != nil {
		if err := st.HandlePacket(address, packets); err != nil {
			return err
		}
	}
	s.log.Info("accepting", "service", name, "address", fmt.Sprintf("%s:%d", st.Address().Addr(), port))
	return nil
}

// startNetHTTP serves with net/http. Closing the stack ends it.
func (s *serveCommand) startNetHTTP(st *stack.Stack, address string, web *service.HTTP, failed chan<- error) error {
	ln, err := st.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: web.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() {
		if err := server.Serve(ln); !errors.Is(err, net.ErrClosed) {
			failed <- err
		}
	}()
	s.log.Info("accepting", "service", "http", "with", "net/http", "address", ln.Addr().String())
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/proxy"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/stack"
)

// services is what serve serves.
type services struct {
	mu      sync.Mutex         // held while these are used or changed
	running map[string]*served // by ID
	ended   []*served          // whose connections may be open still
	turns   [][]stack.OnTurn   // of each shard, of those that want to be called in them
	proxy   *proxy.Proxy       // nil: there was no proxy yet
	sockets bool               // proxies may make sockets of the kernel's TCP
}

// served is one service.
type served struct {
	config.Service
	http     *service.HTTP          // nil: another service
	listener *stack.HandlerListener // nil: net/http's
	packets  *stack.PacketPort      // nil: not on UDP
	server   *http.Server           // nil: on the shards
	route    *proxy.Route           // nil: another service
}

// newServices makes what is to be served.
func newServices(all []config.Service) (*services, error) {
	s := &services{running: make(map[string]*served)}
	for _, cfg := range all {
		r, err := newServed(cfg)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.running[cfg.ID()] = r
	}
	return s, nil
}

func newServed(cfg config.Service) (r *served, err error) {
	r = &served{Service: cfg}
	if cfg.Name == "http" {
		r.http, err = service.NewHTTP(cfg.HTTP())
	}
	return r, err
}

// Start begins all services.
func (s *services) Start(d *daemon.Daemon) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running {
		if err := s.start(d, r); err != nil {
			return err
		}
	}
	return nil
}

// Drain ends the connections of net/http.
func (s *services) Drain(ctx context.Context) {
	var all sync.WaitGroup
	s.mu.Lock()
	for _, r := range s.running {
		if r.server != nil {
			all.Go(func() { _ = r.server.Shutdown(ctx) }) // what does not end in time, the stack resets
		}
	}
	s.mu.Unlock()
	all.Wait()
}

// Close ends what is not of the stack.
func (s *services) Close() error {
	var errs []error
	for _, r := range s.running {
		errs = append(errs, r.close())
	}
	for _, r := range s.ended {
		errs = append(errs, r.close())
	}
	if s.proxy != nil {
		errs = append(errs, s.proxy.Close())
	}
	return errors.Join(errs...)
}

func (r *served) close() error {
	if r.http == nil {
		return nil
	}
	return r.http.Close()
}

// hook has the shards call functions in their turns, one each, besides those that they call already.
func (s *services) hook(st *stack.Stack, more []stack.OnTurn) error {
	if s.turns == nil {
		s.turns = make([][]stack.OnTurn, st.Shards())
	}
	for i, one := range more {
		s.turns[i] = append(s.turns[i], one)
		all := slices.Clone(s.turns[i])
		turn := func(sh *stack.Shard, now clock.Time) clock.Time {
			next := clock.Never
			for _, one := range all {
				next = min(next, one(sh, now))
			}
			return next
		}
		if err := st.Shard(i).Do(func(sh *stack.Shard) { sh.SetOnTurn(turn) }); err != nil {
			return err
		}
	}
	return nil
}

// start begins one service.
func (s *services) start(d *daemon.Daemon, r *served) (err error) {
	address := net.JoinHostPort("", strconv.Itoa(int(r.Port)))
	var handler stack.Handler
	var packets stack.PacketHandler
	switch r.Name {
	case "echo":
		handler, packets = service.Echo{}, service.EchoPackets{}
	case "discard":
		handler, packets = service.Discard{}, service.DiscardPackets{}
	case "chargen":
		handler, packets = service.Chargen{}, service.ChargenPackets{}
	case "http":
		if r.NetHTTP {
			return r.startNetHTTP(d, address)
		}
		handler, err = r.http, s.hook(d.Stack, r.http.OnTurns(d.Stack.Shards()))
	case "proxy":
		if err = s.openRoute(d, r); err == nil {
			handler = r.route.Handler()
		}
	}
	if err != nil {
		return err
	}
	if r.listener, err = d.Stack.Handle(address, handler); err != nil {
		return err
	}
	if packets != nil {
		r.packets, err = d.Stack.OpenPacket(address, func(int) stack.PacketHandler { return packets })
		if err != nil {
			return errors.Join(err, r.listener.Close())
		}
	}
	d.Log.Info("accepting", "service", r.Name, "address", fmt.Sprintf("%s:%d", d.Stack.Address().Addr(), r.Port))
	return nil
}

// startNetHTTP serves with net/http. Closing the stack ends it.
func (r *served) startNetHTTP(d *daemon.Daemon, address string) error {
	ln, err := d.Stack.Listen("tcp", address)
	if err != nil {
		return err
	}
	r.server = &http.Server{Handler: r.http.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() {
		if err := r.server.Serve(ln); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			d.Fail(err)
		}
	}()
	d.Log.Info("accepting", "service", "http", "with", "net/http", "address", ln.Addr().String())
	return nil
}

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/service"
	"github.com/xdpstack/xdpstack/stack"
)

// services is what serve serves.
type services struct {
	names   []string
	port    uint16 // 0: each service's own
	netHTTP bool
	http    *service.HTTP // nil: not among the names
}

// Start begins all services.
func (s *services) Start(d *daemon.Daemon) error {
	for _, name := range s.names {
		if err := s.start(d, name); err != nil {
			return err
		}
	}
	return nil
}

// Close ends what is not of the stack.
func (s *services) Close() error {
	if s.http == nil {
		return nil
	}
	return s.http.Close()
}

// start begins one service.
func (s *services) start(d *daemon.Daemon, name string) error {
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
			return s.startNetHTTP(d, address)
		}
		for i, turn := range s.http.OnTurns(d.Stack.Shards()) {
			if err := d.Stack.Shard(i).Do(func(sh *stack.Shard) { sh.SetOnTurn(turn) }); err != nil {
				return err
			}
		}
		handler = s.http
	}
	if _, err := d.Stack.Handle(address, handler); err != nil {
		return err
	}
	if packets != nil {
		if err := d.Stack.HandlePacket(address, packets); err != nil {
			return err
		}
	}
	d.Log.Info("accepting", "service", name, "address", fmt.Sprintf("%s:%d", d.Stack.Address().Addr(), port))
	return nil
}

// startNetHTTP serves with net/http. Closing the stack ends it.
func (s *services) startNetHTTP(d *daemon.Daemon, address string) error {
	ln, err := d.Stack.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.http.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() {
		if err := server.Serve(ln); !errors.Is(err, net.ErrClosed) {
			d.Fail(err)
		}
	}()
	d.Log.Info("accepting", "service", "http", "with", "net/http", "address", ln.Addr().String())
	return nil
}

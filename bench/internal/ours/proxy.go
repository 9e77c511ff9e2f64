package ours

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/internal/proxy"
	"github.com/xdpstack/xdpstack/stack"
)

// NewProxy opens the interface and hands the connections of the HTTP port on, as the command "xdpstack proxy" does.
func NewProxy(cfg ServerConfig, to netip.AddrPort) (*Server, error) {
	cfg.Alone = true
	s, err := cfg.open()
	if err != nil {
		return nil, err
	}
	p := proxy.New(s)
	for i, turn := range p.OnTurns() {
		if err := s.Shard(i).Do(func(sh *stack.Shard) { sh.SetOnTurn(turn) }); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	route, err := p.Route(proxy.Config{Targets: []proxy.Target{{Kernel: true, Addr: to}}})
	if err == nil {
		_, err = s.Handle(fmt.Sprintf(":%d", app.HTTPPort), route.Handler())
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Server{stack: s}, nil
}

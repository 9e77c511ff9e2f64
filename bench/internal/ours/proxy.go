package ours

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/internal/proxy"
)

// NewProxy opens the interface and hands the connections of the HTTP port on, as the command "xdpstack proxy" does.
func NewProxy(cfg ServerConfig, to netip.AddrPort) (*Server, error) {
	cfg.Alone = true
	s, err := cfg.open()
	if err != nil {
		return nil, err
	}
	p, err := proxy.New(s, proxy.Config{Target: proxy.Target{Kernel: true, Addr: to}})
	if err == nil {
		_, err = s.Handle(fmt.Sprintf(":%d", app.HTTPPort), p.Handler())
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Server{stack: s}, nil
}

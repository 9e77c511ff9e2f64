package main

import (
	"errors"
	"net/http"

	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/daemon"
	"github.com/xdpstack/xdpstack/internal/proxy"
)

// needsSockets reports whether a service makes sockets of the kernel's TCP. Unix sockets are always allowed.
func needsSockets(s *config.Service) bool {
	for _, to := range s.To {
		if to.Kernel && to.Path == "" {
			return true
		}
	}
	return false
}

// allowed says why a service cannot be served by this process, if so.
func (s *services) allowed(cfg *config.Service) error {
	if s.sockets || !needsSockets(cfg) {
		return nil
	}
	return errors.New("a proxy to the kernel's TCP is new, and the process has given up making such sockets: restart it, " +
		"or have such a proxy in the configuration from the start")
}

// openRoute makes the way of a proxy's connections.
func (s *services) openRoute(d *daemon.Daemon, r *served) (err error) {
	if err := s.allowed(&r.Service); err != nil {
		return err
	}
	if s.proxy == nil {
		p := proxy.New(d.Stack)
		if err := s.hook(d.Stack, p.OnTurns()); err != nil {
			return err
		}
		s.proxy = p
		watchProxy(d, p)
	}
	r.route, err = s.proxy.Route(r.Proxy())
	return err
}

// watchProxy has a proxy's counters seen.
func watchProxy(d *daemon.Daemon, p *proxy.Proxy) {
	d.Counters.Register("proxy", func() (any, error) { return p.Stats() })
	d.Control.HandleJSON("GET /proxy", func(*http.Request) (any, error) { return p.Stats() })
}

// reroute has new connections handed on as a changed configuration says, which has been checked.
func (r *served) reroute(d *daemon.Daemon, cfg config.Service) {
	r.Service = cfg
	if err := r.route.Set(r.Proxy()); err != nil {
		d.Log.Error("a proxy does not change", "service", cfg.ID(), "error", err)
	}
}

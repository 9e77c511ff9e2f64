package ours

import (
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
)

// Server serves the benchmarks' ports over AF_XDP.
type Server struct{ stack *stack.Stack }

// NewServer opens the interface with one of the drivers and handles the ports' connections on the shards.
func NewServer(driver, ifname string, addr netip.Prefix, congestion string) (*Server, error) {
	s, err := open(driver, ifname, addr, congestion)
	if err != nil {
		return nil, err
	}
	for port, h := range map[uint16]stack.Handler{app.DiscardPort: discard{}, app.SourcePort: source{}, app.HTTPPort: new(web)} {
		if _, err := s.Handle(fmt.Sprintf(":%d", port), h); err != nil {
			_ = s.Close()
			return nil, err
		}
	}
	return &Server{stack: s}, nil
}

// NewNetHTTP opens the interface and answers HTTP requests by net/http, on net.Conns.
func NewNetHTTP(ifname string, addr netip.Prefix, congestion string) (*Server, error) {
	s, err := open("native", ifname, addr, congestion)
	if err != nil {
		return nil, err
	}
	ln, err := s.Listen("tcp", fmt.Sprintf(":%d", app.HTTPPort))
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	go func() { _ = app.ServeNetHTTP(ln) }() // until the stack is closed
	return &Server{stack: s}, nil
}

func open(driver, ifname string, addr netip.Prefix, congestion string) (*stack.Stack, error) {
	cfg := stack.Config{Interface: ifname, Address: addr, AFXDP: afxdp.Options{Driver: driver, Mode: afxdp.ModeCopy}}
	cfg.TCP.Congestion = congestion
	return stack.Open(cfg)
}

// Describe says what the server runs on.
func (s *Server) Describe() string { return s.stack.Describe() }

// Counters returns what the stack and its queue counted, by name, without the zeros: they tell why a run was slow.
func (s *Server) Counters() map[string]float64 {
	counters := make(map[string]float64)
	keep := func(m metrics.Metric) {
		if m.Value > 0 {
			counters[m.Name] += float64(m.Value)
		}
	}
	if reports, err := s.stack.Report(); err == nil {
		for i := range reports {
			metrics.Walk("", reports[i].Stats, keep)
		}
	}
	for _, q := range s.stack.Interface().Queues() {
		if kernel, err := q.Statistics(); err == nil {
			metrics.Walk("socket", kernel, keep)
		}
		metrics.Walk("queue", *q.Stats(), keep)
	}
	return counters
}

// Close gives the interface back.
func (s *Server) Close() error { return s.stack.Close() }

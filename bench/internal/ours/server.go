package ours

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/metrics"
	"github.com/xdpstack/xdpstack/stack"
)

// Server serves the benchmarks' ports over AF_XDP.
type Server struct{ stack *stack.Stack }

// ServerConfig says what a server runs on. The zero fields mean the stack's defaults.
type ServerConfig struct {
	Driver     string
	Interface  string
	Address    netip.Prefix
	Congestion string
	Spin       time.Duration
	CPUs       []int // of the shards, one for each queue
	Alone      bool  // the process does nothing else
	ZeroCopy   bool  // zero-copy or an error; else frames are copied
	Gateway    netip.Addr
	Shield     bpf.ShieldMode
}

func (c *ServerConfig) open() (*stack.Stack, error) {
	cfg := stack.Config{
		Interface: c.Interface, Address: c.Address, SpinTime: c.Spin, CPUs: c.CPUs,
		Gateway: c.Gateway, Shield: c.Shield,
		AFXDP: afxdp.Options{Driver: c.Driver, Mode: mode(c.ZeroCopy), KeepProcessor: c.Alone, AdaptiveFill: true},
	}
	cfg.TCP.Congestion = c.Congestion
	return stack.Open(cfg)
}

// mode is how a socket is bound.
func mode(zeroCopy bool) afxdp.Mode {
	if zeroCopy {
		return afxdp.ModeZeroCopy
	}
	return afxdp.ModeCopy
}

// NewServer opens the interface with one of the drivers and handles the ports' connections on the shards.
func NewServer(cfg ServerConfig) (*Server, error) {
	cfg.Alone = true
	s, err := cfg.open()
	if err != nil {
		return nil, err
	}
	for port, h := range map[uint16]stack.Handler{
		app.EchoPort: echo{}, app.DiscardPort: discard{}, app.SourcePort: source{}, app.HTTPPort: new(pages),
	} {
		if _, err := s.Handle(fmt.Sprintf(":%d", port), h); err != nil {
			_ = s.Close()
			return nil, err
		}
	}
	return &Server{stack: s}, nil
}

// NewNetHTTP opens the interface and answers HTTP requests by net/http, on net.Conns.
func NewNetHTTP(cfg ServerConfig) (*Server, error) {
	s, err := cfg.open()
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

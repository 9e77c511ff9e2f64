package ours

import (
	"context"
	"io"

	"github.com/xdpstack/xdpstack/internal/iperf3"
	"github.com/xdpstack/xdpstack/tcp"
)

// NewIPerf3 opens the interface and serves iperf3's tests on handlers, as the command "xdpstack iperf3 -s" does.
func NewIPerf3(cfg ServerConfig) (*Server, error) {
	cfg.Alone = true
	s, err := cfg.open()
	if err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	failed := make(chan error, 1)
	go func() { // until the stack is closed
		failed <- iperf3.Serve(context.Background(), iperf3.ServerConfig{
			Stack: s, TCP: tcp.Config{Congestion: cfg.Congestion}, Output: iperf3.Output{W: io.Discard, Interval: -1},
			Ready: func() { close(ready) },
		})
	}()
	select {
	case <-ready:
		return &Server{stack: s}, nil
	case err := <-failed:
		_ = s.Close()
		return nil, err
	}
}

package load

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/kernel"
	"golang.org/x/sys/unix"
)

// TestEveryWork drives the kernel's server over the loopback interface, on an address of its own.
func TestEveryWork(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("the benchmarks' ports are privileged: run as root")
	}
	addr := [4]byte{127, 77, 0, 1}
	s, err := kernel.NewServer(addr, app.CongestionControl)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for _, cfg := range []Config{
		{Work: Receive, Conns: 2}, {Work: Send, Conns: 2}, {Work: HTTP, Conns: 16}, {Work: Connect, Conns: 16}, {Work: Ping, Conns: 1},
	} {
		cfg.Congestion = app.CongestionControl
		cfg.Addr, cfg.Warmup, cfg.Window = addr, 20*time.Millisecond, 200*time.Millisecond
		marks, readies := 0, 0
		r, err := Run(ctx, cfg, func() { readies++ }, func(bool) { marks++ })
		if err != nil {
			t.Errorf("%s: %v", cfg.Work, err)
			continue
		}
		if r.Count == 0 || r.Errors != 0 || marks != 2 || readies != 1 || r.Seconds < 0.2 {
			t.Errorf("%s: %+v with %d marks", cfg.Work, r, marks)
		}
		if cfg.Work != Receive && cfg.Work != Send && (r.P50 <= 0 || r.P99 < r.P50 || r.Max < r.P99) {
			t.Errorf("%s: latencies %+v", cfg.Work, r)
		}
		t.Logf("%s: %+v", cfg.Work, r)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestShortWindow has a server that is slower than the window is long.
func TestShortWindow(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("the benchmarks' ports are privileged: run as root")
	}
	addr := [4]byte{127, 77, 0, 2}
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(netip.AddrFrom4(addr), app.HTTPPort).String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var request [4096]byte
				for {
					if _, err := c.Read(request[:]); err != nil {
						return
					}
					time.Sleep(200 * time.Millisecond)
					if _, err := c.Write(app.Response); err != nil {
						return
					}
				}
			}()
		}
	}()
	const conns = 2*OpenAtOnce + 1
	cfg := Config{Work: HTTP, Addr: addr, Conns: conns, Window: 10 * time.Millisecond}
	r, err := Run(t.Context(), cfg, func() {}, func(bool) {})
	if err != nil || r.Count == 0 || r.Seconds < 0.02 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNoServerIsAnError(t *testing.T) {
	_, err := Run(t.Context(), Config{Work: HTTP, Addr: [4]byte{127, 77, 0, 9}, Conns: 1, Window: time.Second}, func() {}, func(bool) {})
	if err == nil {
		t.Error("no error without a server")
	}
}

func TestWrongAnswerIsAnError(t *testing.T) {
	c := new(conn)
	g := &generator{cfg: Config{Work: Ping}}
	if done, err := g.answered(c, app.Ping[:10]); err != nil || done {
		t.Error(done, err)
	}
	if _, err := g.answered(c, app.Ping); err == nil {
		t.Error("a wrong echo passed")
	}
	g.cfg.Work = HTTP
	if _, err := g.answered(c, []byte("HTTP/1.1 500")); err == nil {
		t.Error("a wrong response passed")
	}
}

package iperf3

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim/simtest"
	"github.com/xdpstack/xdpstack/stack"
)

var (
	serverAddr = netip.MustParsePrefix("10.9.0.1/24")
	clientAddr = netip.MustParsePrefix("10.9.0.2/24")
)

// pair is two stacks that are joined in memory.
type pair struct{ server, client *stack.Stack }

func newPair(t testing.TB) pair {
	t.Helper()
	var p pair
	p.server, p.client = simtest.Pair(t, serverAddr.String(), clientAddr.String())
	t.Cleanup(func() {
		p.client.Close()
		p.server.Close()
	})
	return p
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// service is a server that runs.
type service struct {
	out   buffer
	docs  chan *Document
	warns chan error
	done  chan error
	stop  context.CancelFunc
}

// quick are timeouts that a test can wait for.
var quick = Timeouts{Reply: 500 * time.Millisecond, Idle: 500 * time.Millisecond, Over: 500 * time.Millisecond}

func serve(t testing.TB, st *stack.Stack, change func(*ServerConfig)) *service {
	t.Helper()
	s := &service{docs: make(chan *Document, 16), warns: make(chan error, 16), done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	ready := make(chan struct{})
	cfg := ServerConfig{Stack: st, Output: Output{W: &s.out}, Warn: func(err error) { s.warns <- err }, Ready: func() { close(ready) },
		Finished: func(d *Document) { s.docs <- d }}
	if change != nil {
		change(&cfg)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.done <- Serve(ctx, cfg)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the server does not end")
		}
	})
	select {
	case <-ready:
	case err := <-s.done:
		t.Fatalf("serve: %v", err)
	}
	return s
}

func receive[T any](t testing.TB, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s within 10 s", what)
	}
	return v
}

// clientConfig is a client in the other stack of a pair.
func (p pair) clientConfig(out *buffer, params Params) ClientConfig {
	return ClientConfig{Stack: p.client, Server: netip.AddrPortFrom(serverAddr.Addr(), DefaultPort), Params: params, Output: Output{W: out}}
}

// concurrent runs several subtests at a time, more than there are processors: they wait most of the time.
type concurrent struct {
	slots chan struct{}
	all   sync.WaitGroup
}

func newConcurrent() *concurrent {
	c := &concurrent{slots: make(chan struct{}, 8)}
	return c
}

func (c *concurrent) run(t *testing.T, name string, f func(t *testing.T)) {
	c.slots <- struct{}{}
	c.all.Go(func() {
		defer func() { <-c.slots }()
		t.Run(name, f)
	})
}

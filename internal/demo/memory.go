package demo

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// The addresses of the network in memory.
var (
	memoryServer = netip.MustParsePrefix("10.77.0.2/24")
	memoryClient = netip.MustParsePrefix("10.77.0.1/24")
)

// openMemory joins two stacks in memory. The client's starts with the first Dial, because Ping uses its device before.
func openMemory() (*World, error) {
	server, client, err := sim.Pipe(sim.Config{Frames: 16384})
	if err != nil {
		return nil, err
	}
	w := &World{
		Kind: Memory, Addr: memoryServer.Addr(), Device: "a pipe in memory, MTU 1500, checksums computed",
		Title: "a network in memory: two instances of xdpstack in this process, joined by a pipe of packets; no kernel, no XDP",
	}
	if w.Server, err = stack.New(stack.Config{Address: memoryServer}, server); err != nil {
		return nil, err
	}
	w.Server.Start()
	w.onClose(w.Server.Close)
	start := sync.OnceValues(func() (*stack.Stack, error) {
		s, err := stack.New(stack.Config{Address: memoryClient}, client)
		if err != nil {
			return nil, err
		}
		s.Start()
		w.onClose(s.Close)
		return s, nil
	})
	w.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		s, err := start()
		if err != nil {
			return nil, err
		}
		return s.DialContext(ctx, network, address)
	}
	w.Ping = func(ctx context.Context, n int, each func(time.Duration)) error {
		return pingInMemory(ctx, client, w.Server.HardwareAddr(), n, each)
	}
	return w, nil
}

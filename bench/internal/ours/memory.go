package ours

import (
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// Memory is xdpstack over a device in memory: a target of the core benchmarks. The harness drives the shard.
type Memory struct {
	dev   *device
	stack *stack.Stack
	shard *stack.Shard
	lost  uint64 // frames that there was no room for
	// inspect sees every sent frame whole; nil but in tests.
	inspect func(frame []byte)
}

// NewMemory makes a stack with a listener for the work.
func NewMemory(w core.Work) (*Memory, error) {
	ends := w.Ends()
	dev, err := newDevice(ends.MAC)
	if err != nil {
		return nil, err
	}
	cfg := stack.Config{Address: netip.PrefixFrom(netip.AddrFrom4(ends.Addr), 24)}
	if w == core.Hold {
		cfg.Gateway = netip.AddrFrom4(ends.PeerAddr)
		cfg.RxBudget = 1 << 30 // There is no ring that windows could overrun.
	}
	s, err := stack.New(cfg, dev)
	if err != nil {
		return nil, err
	}
	var h stack.Handler = discard{}
	switch w {
	case core.Send:
		h = source{}
	case core.Connect:
		h = new(pages)
	}
	if _, err := s.Handle(fmt.Sprintf(":%d", w.Port()), h); err != nil {
		return nil, err
	}
	return &Memory{dev: dev, stack: s, shard: s.Shard(0)}, nil
}

// Deliver implements core.Target.
func (m *Memory) Deliver(n int, next func(b []byte) int) {
	for range n {
		if !m.dev.put(next) {
			m.lost++
		}
	}
}

// Work implements core.Target.
func (m *Memory) Work(take func(head []byte, size int)) {
	m.shard.Step(clock.Now())
	for m.dev.pending() {
		m.shard.Step(clock.Now())
	}
	if m.inspect != nil {
		for _, d := range m.dev.sent {
			m.inspect(m.dev.pool.Bytes(d))
		}
	}
	m.dev.takeSent(take)
}

// Count implements scale.Counter.
func (m *Memory) Count() map[string]float64 {
	u := m.shard.Memory()
	n := float64(max(u.Connections, 1))
	return map[string]float64{
		"state": float64(u.State) / n, "heap": float64(u.Heap) / n, "table": float64(u.Table) / n, "timers": float64(u.Timers) / n,
		"rare": float64(u.Rare) / n,
	}
}

// Close implements core.Target.
func (m *Memory) Close() { _ = m.stack.Close() }

// Inspect lets a test see every sent frame whole.
func (m *Memory) Inspect(f func(frame []byte)) { m.inspect = f }

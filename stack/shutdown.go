package stack

import (
	"net"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// shutdown resets what is still open, so that no peer waits for a stack that is gone, and takes every frame back.
func (s *Shard) shutdown(now clock.Time) {
	s.now = now
	for id := range uint32(s.conns.size()) {
		if c := s.conns.at(id); c.is(connOpen) {
			c.Abort()
		}
	}
	// Every connection gets a turn to send its reset; the device may need more than one to take them all.
	for range 16 {
		if s.Step(now); s.conns.n == 0 && len(s.txq) == 0 {
			break
		}
	}
	for id := range uint32(s.conns.size()) {
		if c := s.conns.at(id); c.is(connOpen) {
			s.destroy(c, net.ErrClosed)
		}
	}
	for t := range s.adapters {
		t.shutdown()
	}
	clear(s.adapters)
	s.neigh.Close()
	if s.stack.iface == nil {
		s.closeErr = s.dev.Close()
	}
}

// shutdown takes the frames that Read has not seen back: their memory is about to go.
func (t *TCPConn) shutdown() {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range append(t.reading[t.position:], t.received...) {
		if ch.frame != frame.None {
			t.returned = append(t.returned, ch.frame)
		}
	}
	for _, f := range append(t.returned, t.spent...) {
		t.shard.pool.Release(f)
	}
	t.reading, t.position, t.received, t.returned, t.spent = nil, 0, nil, nil, nil
	if t.err == nil {
		t.err = net.ErrClosed
	}
}

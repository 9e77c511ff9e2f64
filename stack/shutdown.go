package stack

import (
	"net"
	"runtime"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// shutdown resets what is still open, so that no peer waits for a stack that is gone, and takes every frame back.
func (s *Shard) shutdown(now clock.Time) {
	s.now, s.stopping = now, true
	s.SetOnTurn(nil)
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
	s.unmark()
	for t := range s.adapters {
		t.shutdown()
	}
	clear(s.adapters)
	s.neigh.Close()
	s.closeRelays()
	if s.stack.iface == nil {
		s.closeErr = s.dev.Close()
	}
}

// shutdown takes the frames that Read has not seen back: their memory is about to go.
func (t *TCPConn) shutdown() {
	t.in.end(net.ErrClosed)
	t.out.end(net.ErrClosed)
	for !t.in.turn.TryLock() { // A reader may be waiting for room in the mailbox, or for a call that it has sent.
		t.shard.commands()
		runtime.Gosched()
	}
	t.discard()
	t.in.turn.Unlock()
	t.settle()
}

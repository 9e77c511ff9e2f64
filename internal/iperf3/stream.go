package iperf3

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// stream is one connection of a test that carries data. The shard of its connection owns the lower part.
type stream struct {
	test   *test
	n      int // its place in the test
	sender bool
	cookie []byte // what a client sends first; nil at a server

	shard         *stack.Shard
	local, remote netip.AddrPort

	conn     *stack.Conn // nil when it is over
	running  bool        // a sender sends
	stopped  bool        // a sender finishes its last block
	closed   bool        // it has said that there is no more
	counting bool
	ended    bool // the peer sends no more, or the connection is over
	bytes    uint64
	last     clock.Time // when the last byte that counts came
	rest     int        // bytes of the present block that are not written yet
	base     base
	pace     pace
}

// base is what a stream had when the measurement began: after the omitted time, from the beginning where there is none.
type base struct {
	bytes   uint64
	retrans uint32
}

// Opened tells the server whose stream this is.
func (s *stream) Opened(c *stack.Conn) {
	c.Write(s.cookie) // the first bytes of a connection: there is room
	s.adopt(c)
}

// adopt makes c the stream's connection.
func (s *stream) adopt(c *stack.Conn) {
	s.conn, s.counting = c, true
	s.local, s.remote = c.LocalAddr(), c.RemoteAddr()
	s.test.configure(c)
	if !s.test.opened(s, s.test.stack.Shard(c.Shard()), nil) {
		c.Abort()
	}
}

// Received counts. What comes before the peer said that the test is running counts too: it is part of the test.
func (s *stream) Received(c *stack.Conn, p []byte) {
	if !s.counting || s.sender {
		return
	}
	s.bytes += uint64(len(p))
	if s.test.limited {
		s.last = c.Now()
		s.test.limit.received(len(p))
	}
}

// Writable goes on sending.
func (s *stream) Writable(c *stack.Conn) {
	switch {
	case s.running:
		s.fill(c.Now())
	case s.stopped:
		s.finish()
	}
}

// fill writes blocks for as long as there is room, the rate allows it, and the test has some left.
func (s *stream) fill(now clock.Time) {
	block := s.test.block
	for {
		if s.rest == 0 {
			if s.pace.rate > 0 && !s.pace.due(now) {
				return
			}
			if s.rest = len(block); s.test.limited {
				s.rest = s.test.limit.take(s.rest)
			}
			if s.rest == 0 {
				s.running = false
				return
			}
			s.pace.sent += uint64(s.rest)
		}
		n := s.conn.Write(block[:s.rest])
		s.bytes += uint64(n)
		if s.rest -= n; s.rest > 0 {
			return
		}
		if s.test.limited {
			s.test.limit.wrote()
		}
	}
}

// finish writes the rest of the last block, and says at a server that it was the last: an iperf3 that receives is deaf to everything
// else until a block is complete.
func (s *stream) finish() {
	if s.conn == nil || s.closed {
		return
	}
	s.rest -= s.conn.Write(s.test.block[:s.rest])
	if s.rest == 0 && !s.test.client {
		s.closed = true
		s.conn.CloseWrite()
	}
}

// PeerClosed notes that nothing more comes.
func (s *stream) PeerClosed(*stack.Conn) { s.end(ErrStreamClosed) }

// Closed forgets the connection.
func (s *stream) Closed(_ *stack.Conn, err error) {
	opened := s.conn != nil
	s.conn = nil
	if err == nil {
		err = ErrStreamClosed
	}
	if !opened {
		s.test.opened(s, nil, err)
	}
	s.end(err)
}

func (s *stream) end(err error) {
	s.running = false
	if !s.ended {
		s.ended = true
		s.test.lost(s, err)
	}
}

// begin starts the stream, on its shard.
func (s *stream) begin() {
	if s.sender && s.conn != nil && !s.ended {
		s.pace = pace{rate: uint64(s.test.params.Bandwidth) / 8, since: s.test.start}
		s.running = true
		s.fill(s.test.start)
	}
}

// stop ends sending, after the block that was begun, which counts. Counting what comes ends if it is over for good.
func (s *stream) stop(counting bool) {
	if s.sender && !s.stopped {
		s.running, s.stopped = false, true
		s.bytes += uint64(s.rest)
		s.finish()
	}
	s.counting = s.counting && counting
}

// close ends the connection: what is queued has a second to be delivered, if it is not reset.
func (s *stream) close(reset bool) {
	s.running, s.counting, s.ended = false, false, true
	switch {
	case s.conn == nil:
	case reset:
		s.conn.Abort()
	default:
		s.conn.SetLinger(1)
		s.conn.Close()
	}
}

// sample is the state of a stream at one moment.
type sample struct {
	bytes   uint64
	ended   bool
	last    clock.Time
	alive   bool // there is a connection that the rest is about
	retrans uint32
	cwnd    uint64 // bytes
	wnd     uint64 // bytes
	rtt     uint32 // µs
	rttvar  uint32 // µs
	pmtu    uint32 // bytes
	mss     uint32 // bytes
	sndbuf  uint32 // bytes
	rcvbuf  uint32 // bytes
	unacked int    // bytes that were written and are not acknowledged, of a sender
}

// sample looks at the stream, on its shard.
func (s *stream) sample() sample {
	m := sample{bytes: s.bytes - s.base.bytes, ended: s.ended, last: s.last}
	if s.conn != nil {
		info, more := s.conn.TCPInfo(), s.conn.Info()
		m.alive = true
		m.retrans = info.TotalRetrans - s.base.retrans
		m.cwnd = uint64(info.SndCwnd) * uint64(info.SndMSS)
		m.wnd, m.sndbuf, m.rcvbuf = uint64(more.SendWindow), more.SendBuffer, more.RecvBuffer
		if s.sender {
			m.unacked = more.Unsent + more.Unacked
		}
		m.rtt, m.rttvar, m.pmtu, m.mss = info.RTT, info.RTTVar, info.PMTU, info.SndMSS
	}
	return m
}

// rebase makes the present the beginning of the measurement.
func (s *stream) rebase() {
	s.base.bytes = s.bytes
	if s.conn != nil {
		s.base.retrans = s.conn.TCPInfo().TotalRetrans
	}
}

package proxy

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/internal/backlog"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// splice is a client's connection and the one to the target, on the same shard.
type splice struct {
	place
	attempt
	shard  *shard
	ends   [2]end         // the client's, the target's
	remote netip.AddrPort // the client's
	local  netip.AddrPort // that it has connected to
	active clock.Time     // when something last passed, or it began
	ended  bool           // why is counted
	late   bool           // the target did not answer in time, and is given up
}

const (
	client = iota
	target
)

// end is one of the two connections, and what came from it.
type end struct {
	conn   *stack.Conn     // nil: closed
	kept   backlog.Backlog // received, but the other had no room
	rest   []byte          // the same, when it has closed
	closed bool            // the peer sends no more
	cut    bool            // and the other end was told
	opened bool
}

// received hands on what came from one end.
func (s *splice) received(from int, b []byte) {
	s.active = s.ends[from].conn.Now()
	here, there := &s.ends[from], &s.ends[1-from]
	if from == client {
		s.shard.stats.ToTarget += uint64(len(b))
	} else {
		s.shard.stats.ToClient += uint64(len(b))
	}
	if there.conn == nil {
		return
	}
	here.kept.Keep(here.conn, b)
	if there.opened {
		here.kept.Pass(here.conn, there.conn)
	}
}

// pass goes on handing on what came from one end.
func (s *splice) pass(from int) {
	here, there := &s.ends[from], &s.ends[1-from]
	if there.conn == nil || !there.opened {
		return
	}
	s.active = there.conn.Now()
	if here.conn != nil && !here.kept.Pass(here.conn, there.conn) {
		return
	}
	if n := len(here.rest); n > 0 {
		here.rest = here.rest[there.conn.Write(here.rest):]
		s.shard.lingering -= n - len(here.rest)
		if len(here.rest) > 0 {
			return
		}
	}
	if here.closed && !here.cut {
		here.cut = true
		there.conn.CloseWrite()
	}
}

// over is told that one end is closed. What it has brought is still the other's, if it ended in order.
func (s *splice) over(from int, err error) {
	here, there := &s.ends[from], &s.ends[1-from]
	if there.conn == nil || err != nil {
		here.kept.Drop(here.conn)
	} else {
		here.rest = here.kept.Detach(here.conn)
		s.shard.lingering += len(here.rest)
	}
	here.conn = nil
	switch {
	case there.conn == nil:
		for i := range s.ends {
			s.shard.lingering -= len(s.ends[i].rest)
		}
		s.shard.remove(s)
	case err != nil:
		there.conn.Abort()
	case s.shard.lingering > maxLingering:
		s.reset(&s.shard.stats.Cut)
	default:
		s.pass(from)
	}
}

// reset ends both connections for a reason that is counted.
func (s *splice) reset(reason *uint64) {
	*reason++
	s.ended = true
	for i := range s.ends {
		if c := s.ends[i].conn; c != nil {
			c.Abort()
		}
	}
}

// expire resets the connection if it has waited for too long.
func (s *splice) expire(now clock.Time) {
	switch to := &s.ends[target]; {
	case s.ended || s.late:
	case (s.ends[client].conn == nil || to.conn == nil) && now.Sub(s.active) >= lingerTime:
		s.reset(&s.shard.stats.Cut)
	case !to.opened && now.Sub(s.began) >= s.plan.Connect:
		s.late = true
		to.conn.Abort()
	case to.opened && s.plan.Idle > 0 && now.Sub(s.active) >= s.plan.Idle:
		s.reset(&s.shard.stats.Idle)
	}
}

// connect opens the connection to a target, and to others if that fails at once.
func (s *splice) connect(to Target, now clock.Time) {
	for {
		c, err := s.shard.proxy.stack.Shard(s.shard.number).Open(to.Addr, targetHandler{})
		if err == nil {
			c.SetContext(s)
			s.ends[target].conn = c
			return
		}
		var ok bool
		if to, ok = s.another(s.shard.number, now); !ok {
			s.reset(&s.shard.stats.Refused)
			return
		}
		s.shard.stats.Another++
	}
}

// failed is told that the target did not take the connection. It reports whether another was found.
func (s *splice) failed(now clock.Time) bool {
	if s.ends[client].conn == nil {
		return false
	}
	to, ok := s.another(s.shard.number, now)
	if ok {
		s.shard.stats.Another++
		s.ends[target], s.late = end{}, false
		s.connect(to, now)
	}
	return ok
}

// clientHandler has the connections of clients.
type clientHandler struct{ route *Route }

// Opened connects to the target.
func (h clientHandler) Opened(c *stack.Conn) {
	s := &splice{shard: h.route.proxy.shards[c.Shard()], active: c.Now(), remote: c.RemoteAddr(), local: c.LocalAddr()}
	s.ends[client] = end{conn: c, opened: true}
	c.SetContext(s)
	s.shard.add(s, c.Now())
	s.connect(s.first(h.route, s.shard.number, c.Now()), c.Now())
}

func (clientHandler) Received(c *stack.Conn, b []byte) { c.Context().(*splice).received(client, b) }
func (clientHandler) Writable(c *stack.Conn)           { c.Context().(*splice).pass(target) }

// PeerClosed passes the client's end on.
func (clientHandler) PeerClosed(c *stack.Conn) {
	s := c.Context().(*splice)
	s.ends[client].closed = true
	s.pass(client)
}

// Closed ends the target's side too.
func (clientHandler) Closed(c *stack.Conn, err error) {
	s, ok := c.Context().(*splice)
	if !ok {
		return // it was never opened
	}
	s.over(client, err)
}

// targetHandler has the connections to the target.
type targetHandler struct{}

// Opened sends what the client has sent meanwhile.
func (targetHandler) Opened(c *stack.Conn) {
	s := c.Context().(*splice)
	s.ends[target].opened = true
	if s.plan.Header {
		var b [headerLen]byte
		putHeader(&b, s.remote, s.local)
		c.Write(b[:]) // an empty send buffer has room for it
	}
	s.pass(client)
}

func (targetHandler) Received(c *stack.Conn, b []byte) { c.Context().(*splice).received(target, b) }
func (targetHandler) Writable(c *stack.Conn)           { c.Context().(*splice).pass(client) }

// PeerClosed passes the target's end on.
func (targetHandler) PeerClosed(c *stack.Conn) {
	s := c.Context().(*splice)
	s.ends[target].closed = true
	s.pass(target)
}

// Closed ends the client's side too.
func (targetHandler) Closed(c *stack.Conn, err error) {
	s, ok := c.Context().(*splice)
	if !ok {
		return
	}
	opened := s.ends[target].opened
	if !opened && !s.ended && s.failed(c.Now()) {
		return
	}
	switch {
	case s.ended || s.ends[client].conn == nil:
	case !opened && s.late:
		s.shard.stats.Timeouts++
	case !opened:
		s.shard.stats.Refused++
	case err != nil:
		s.shard.stats.Broken++
	}
	s.over(target, err)
}

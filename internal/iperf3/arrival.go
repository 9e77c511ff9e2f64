package iperf3

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// arrival is a connection that has come to the server's port. Its cookie tells what it is: a stream of the present test, or the control
// connection of a client.
type arrival struct {
	shard   *stack.Shard
	remote  netip.AddrPort
	conn    *stack.Conn // nil when it is over
	named   bool        // the cookie is complete
	have    int         // bytes of the cookie
	cookie  Cookie
	stream  *stream
	control *controlConn
}

// arrivals are the server's connections.
type arrivals struct{ server *Server }

// Opened waits for the cookie.
func (h arrivals) Opened(c *stack.Conn) {
	a := &arrival{shard: h.server.cfg.Stack.Shard(c.Shard()), remote: c.RemoteAddr(), conn: c}
	s := h.server
	s.mu.Lock()
	full := len(s.nameless) >= maxNameless
	if !full {
		s.nameless[a] = clock.Now()
	}
	s.mu.Unlock()
	if full {
		c.Abort()
		return
	}
	c.SetContext(a)
}

// Received passes on to what the connection is.
func (h arrivals) Received(c *stack.Conn, p []byte) {
	a, _ := c.Context().(*arrival)
	switch {
	case a == nil:
		return
	case a.stream != nil:
		a.stream.Received(c, p)
		return
	case !a.named:
		n := copy(a.cookie[a.have:], p)
		a.have += n
		if a.have < CookieSize {
			return
		}
		h.server.name(a, c)
		if p = p[n:]; len(p) == 0 {
			return
		}
		if a.stream != nil {
			a.stream.Received(c, p)
			return
		}
	}
	if a.control != nil {
		a.control.received(c, p)
	}
}

// name decides what a connection is, now that its cookie is complete.
func (s *Server) name(a *arrival, c *stack.Conn) {
	a.named = true
	s.mu.Lock()
	delete(s.nameless, a)
	t, refused := s.test, s.busy
	if t != nil && a.cookie == s.cookie {
		st := &stream{}
		if t.join(st) {
			a.stream = st
		}
		refused = a.stream == nil
	} else if !s.busy {
		s.busy = true
		a.control = newControlConn(a.shard, c)
	}
	s.mu.Unlock()
	switch {
	case refused:
		denied := AccessDenied
		c.Write([]byte{byte(denied)})
		c.Close()
	case a.stream != nil:
		a.stream.adopt(c)
	default:
		s.arrived <- a // it has room for one, and there is one at most until the next test
	}
}

// Writable passes on.
func (h arrivals) Writable(c *stack.Conn) {
	switch a, _ := c.Context().(*arrival); {
	case a == nil:
	case a.stream != nil:
		a.stream.Writable(c)
	case a.control != nil:
		a.control.flush(c)
	}
}

// PeerClosed passes on.
func (h arrivals) PeerClosed(c *stack.Conn) {
	switch a, _ := c.Context().(*arrival); {
	case a == nil:
		c.Close()
	case a.stream != nil:
		a.stream.PeerClosed(c)
	case a.control != nil:
		a.control.peerClosed()
	default:
		c.Close()
	}
}

// Closed forgets the connection.
func (h arrivals) Closed(c *stack.Conn, err error) {
	a, _ := c.Context().(*arrival)
	if a == nil {
		return
	}
	a.conn = nil
	h.server.mu.Lock()
	delete(h.server.nameless, a)
	h.server.mu.Unlock()
	switch {
	case a.stream != nil:
		a.stream.Closed(c, err)
	case a.control != nil:
		a.control.closed(err)
	}
}

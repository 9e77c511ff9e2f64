package proxy

import "github.com/xdpstack/xdpstack/stack"

// kernelHandler hands connections on to sockets of the kernel's.
type kernelHandler struct{ route *Route }

// Opened begins to connect.
func (h kernelHandler) Opened(c *stack.Conn) {
	s := h.route.proxy.shards[c.Shard()]
	p := &pair{shard: s, conn: c, fd: -1, active: c.Now()}
	c.SetContext(p)
	s.add(p, c.Now())
	to := p.first(h.route, s.number, c.Now())
	if p.plan.Header {
		putHeader(&p.header, c.RemoteAddr(), c.LocalAddr())
		p.unsent = headerLen
	}
	p.connect(to, c.Now())
}

// Received writes to the socket at once what that has room for.
func (kernelHandler) Received(c *stack.Conn, b []byte) {
	p := c.Context().(*pair)
	if p.fd < 0 {
		return
	}
	p.active = c.Now()
	if p.unsent == 0 && p.out.Empty() {
		rest, ok := p.send(b)
		if !ok {
			p.reset(&p.shard.stats.Broken)
			return
		}
		if b = rest; len(b) == 0 {
			return
		}
	}
	p.out.Keep(c, b)
}

// Writable goes on reading from the socket.
func (kernelHandler) Writable(c *stack.Conn) {
	p := c.Context().(*pair)
	p.active = c.Now()
	p.read()
}

// PeerClosed passes the client's end on.
func (kernelHandler) PeerClosed(c *stack.Conn) {
	if p := c.Context().(*pair); p.fd >= 0 {
		p.state |= clientEnd
		p.write()
	}
}

// Closed ends the server's side too.
func (kernelHandler) Closed(c *stack.Conn, err error) {
	if p, ok := c.Context().(*pair); ok { // else it was never opened
		p.over(c, err)
	}
}

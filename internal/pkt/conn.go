package pkt

import (
	"slices"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/tcp"
)

// conn is a connection of the core and what its application knows of it.
type conn struct {
	tcp         tcp.Conn
	flow        tcp.Flow
	established bool
	gone        bool // the core has forgotten it; info says how it ended
	eof         bool // the peer closed its side
	closed      bool // the application closed it
	err         error
	info        tcp.Info
	wrote       uint32 // bytes of the stream
	read        uint32
	rest        []byte // received and taken from the core, not yet read
	restFrame   frame.Index
}

func newConn(f tcp.Flow) *conn { return &conn{flow: f, restFrame: frame.None} }

// forget takes a connection that is gone from the core, and keeps what the application can still ask for.
func (h *host) forget(c *conn) {
	for c.takeFrame(h) {
	}
	c.info = c.tcp.Info()
	c.rest = slices.Clone(c.rest)
	c.dropFrame(h)
	c.tcp.Release()
	c.gone = true
	h.conns = slices.DeleteFunc(h.conns, func(d *conn) bool { return d == c })
}

// takeFrame takes the next frame of received payload from the core into c.rest, and reports whether there was one.
func (c *conn) takeFrame(h *host) bool {
	f := c.tcp.Recv()
	if f == frame.None {
		return false
	}
	data := h.core.Pool.Data(f)
	if len(c.rest) == 0 {
		c.dropFrame(h)
		c.rest, c.restFrame = data, f
		return true
	}
	c.rest = append(slices.Clone(c.rest), data...)
	h.core.Pool.Release(f)
	return true
}

func (c *conn) dropFrame(h *host) {
	if c.restFrame != frame.None {
		h.core.Pool.Release(c.restFrame)
		c.restFrame = frame.None
	}
}

// describe returns the description of a connection, also of one that is gone.
func (c *conn) describe() tcp.Info {
	if c.gone {
		return c.info
	}
	return c.tcp.Info()
}

// take consumes at most n bytes of what was received, and reports whether they are the ones that belong there.
func (c *conn) take(h *host, n int) (got int, ok bool) {
	for got < n && (len(c.rest) > 0 || !c.gone && c.takeFrame(h)) {
		k := min(n-got, len(c.rest))
		for _, b := range c.rest[:k] {
			if b != pattern(1+c.read) {
				return got, false
			}
			c.read++
		}
		c.rest = c.rest[k:]
		got += k
		if len(c.rest) == 0 {
			c.dropFrame(h)
		}
	}
	if got > 0 && !c.gone {
		c.tcp.Consumed(uint32(got))
	}
	return got, true
}

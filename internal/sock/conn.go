package sock

import (
	"slices"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// Conn is a connection of the core and what its application knows of it.
type Conn struct {
	Established bool
	EOF         bool // the peer closed its side
	Gone        bool // the core has forgotten it; Info says how it ended

	tcp       tcp.Conn
	flow      tcp.Flow
	closed    bool // the application closed it
	err       error
	info      tcp.Info
	last      tcp.TCPInfo
	rest      []byte // received and taken from the core, not yet read
	restFrame frame.Index
}

func newConn(f tcp.Flow) *Conn { return &Conn{flow: f, restFrame: frame.None} }

// Flow returns the addresses and ports.
func (c *Conn) Flow() tcp.Flow { return c.flow }

// Info returns the description of a connection, also of one that is gone.
func (c *Conn) Info() tcp.Info {
	if c.Gone {
		return c.info
	}
	return c.tcp.Info()
}

// TCPInfo returns what Linux's tcp_info has of a connection, also of one that is gone.
func (c *Conn) TCPInfo(now clock.Time) tcp.TCPInfo {
	if c.Gone {
		return c.last
	}
	return c.tcp.TCPInfo(now)
}

// forget takes a connection that is gone from the core, and keeps what the application can still ask for.
func (h *Host) forget(c *Conn) {
	for c.takeFrame(h) {
	}
	c.info, c.last = c.tcp.Info(), c.tcp.TCPInfo(h.now)
	c.rest = slices.Clone(c.rest)
	c.dropFrame(h)
	c.tcp.Release()
	c.Gone = true
	h.conns = slices.DeleteFunc(h.conns, func(d *Conn) bool { return d == c })
}

// takeFrame takes the next frame of received payload from the core into c.rest, and reports whether there was one.
func (c *Conn) takeFrame(h *Host) bool {
	f := c.tcp.Recv()
	if f == frame.None {
		return false
	}
	data := h.Core.Pool.Data(f)
	if len(c.rest) == 0 {
		c.dropFrame(h)
		c.rest, c.restFrame = data, f
		return true
	}
	c.rest = append(slices.Clone(c.rest), data...)
	h.Core.Pool.Release(f)
	return true
}

func (c *Conn) dropFrame(h *Host) {
	if c.restFrame != frame.None {
		h.Core.Pool.Release(c.restFrame)
		c.restFrame = frame.None
	}
}

// take consumes what was received into p.
func (c *Conn) take(h *Host, p []byte) (n int) {
	for n < len(p) && (len(c.rest) > 0 || !c.Gone && c.takeFrame(h)) {
		k := copy(p[n:], c.rest)
		c.rest = c.rest[k:]
		n += k
		if len(c.rest) == 0 {
			c.dropFrame(h)
		}
	}
	if n > 0 && !c.Gone {
		c.tcp.Consumed(uint32(n))
	}
	return n
}

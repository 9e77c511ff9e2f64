package service

import (
	"github.com/xdpstack/xdpstack/internal/backlog"
	"github.com/xdpstack/xdpstack/stack"
)

// Echo sends back what it receives (RFC 862).
type Echo struct{}

// echoState exists for connections whose client does not read as fast as it sends.
type echoState struct {
	backlog backlog.Backlog
	eof     bool // the client sends no more
}

// Opened does nothing: the client speaks first.
func (Echo) Opened(*stack.Conn) {}

// Received sends p back, or keeps what there is no room for.
func (Echo) Received(c *stack.Conn, p []byte) {
	st, _ := c.Context().(*echoState)
	if st == nil || st.backlog.Empty() {
		if p = p[c.Write(p):]; len(p) == 0 {
			return
		}
	}
	if st == nil {
		st = &echoState{}
		c.SetContext(st)
	}
	st.backlog.Keep(c, p)
}

// Writable goes on with what was kept.
func (Echo) Writable(c *stack.Conn) {
	st, _ := c.Context().(*echoState)
	if st == nil {
		return
	}
	if st.backlog.Drain(c, func(p []byte) []byte { return p[c.Write(p):] }) && st.eof {
		c.Close()
	}
}

// PeerClosed closes this direction too, when everything has been sent back.
func (Echo) PeerClosed(c *stack.Conn) {
	if st, _ := c.Context().(*echoState); st != nil && !st.backlog.Empty() {
		st.eof = true
		return
	}
	c.Close()
}

// Closed gives back what was kept.
func (Echo) Closed(c *stack.Conn, _ error) {
	if st, _ := c.Context().(*echoState); st != nil {
		st.backlog.Drop(c)
	}
}

package demo

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/stack"
)

// sink judges what it receives, in the memory that the packets arrived in, and answers the end of it with the verdict.
type sink struct{ hash bool }

func (s sink) Opened(c *stack.Conn)           { c.SetContext(newJudge(s.hash)) }
func (sink) Received(c *stack.Conn, p []byte) { c.Context().(*judge).add(p) }
func (sink) Writable(*stack.Conn)             {}
func (sink) Closed(*stack.Conn, error)        {}

func (sink) PeerClosed(c *stack.Conn) {
	v := c.Context().(*judge).verdict()
	c.Write(v[:]) // the first bytes in this direction: there is room
	c.Close()
}

// source reads a length, eight bytes in network order, and sends that much of the pattern.
type source struct{}

type sourceState struct {
	request []byte
	pattern *pattern
	sent    int64
}

func (source) Opened(c *stack.Conn) { c.SetContext(&sourceState{}) }

func (s source) Received(c *stack.Conn, p []byte) {
	st := c.Context().(*sourceState)
	if st.pattern != nil {
		return
	}
	if st.request = append(st.request, p...); len(st.request) < 8 {
		return
	}
	st.pattern = newPattern(int64(binary.BigEndian.Uint64(st.request) & (1<<62 - 1)))
	s.Writable(c)
}

func (source) Writable(c *stack.Conn) {
	st := c.Context().(*sourceState)
	if st.pattern == nil || st.sent == st.pattern.total {
		return
	}
	for p := st.pattern.from(st.sent); len(p) > 0; p = st.pattern.from(st.sent) {
		n := c.Write(p)
		st.sent += int64(n)
		if n < len(p) {
			return
		}
	}
	c.Close()
}

// PeerClosed ends a connection that asked for nothing.
func (source) PeerClosed(c *stack.Conn) {
	if c.Context().(*sourceState).pattern == nil {
		c.Close()
	}
}

func (source) Closed(*stack.Conn, error) {}

package ours

import (
	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/stack"
)

// ignore answers the calls that an application need not care about.
type ignore struct{}

func (ignore) Opened(*stack.Conn)           {}
func (ignore) Received(*stack.Conn, []byte) {}
func (ignore) Writable(*stack.Conn)         {}
func (ignore) PeerClosed(c *stack.Conn)     { c.Close() }
func (ignore) Closed(*stack.Conn, error)    {}

// discard reads and forgets.
type discard struct{ ignore }

// source writes without end.
type source struct{ ignore }

func (source) Opened(c *stack.Conn)   { fill(c) }
func (source) Writable(c *stack.Conn) { fill(c) }

func fill(c *stack.Conn) {
	for c.Write(app.Chunk) == len(app.Chunk) {
	}
}

// web answers requests.
type web struct{ ignore }

func (web) Opened(c *stack.Conn) { c.SetContext(new(app.HTTP)) }

func (web) Received(c *stack.Conn, p []byte) {
	h := c.Context().(*app.HTTP)
	for range h.Requests(p) {
		if c.Write(app.Response) < len(app.Response) {
			c.Abort() // a client that does not read what it asked for
			return
		}
	}
	if h.Close {
		c.Close()
	}
}

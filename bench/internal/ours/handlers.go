package ours

import (
	"sync"

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

// echo sends back what it gets.
type echo struct{ ignore }

func (echo) Received(c *stack.Conn, p []byte) {
	if c.Write(p) < len(p) {
		c.Abort() // a client that does not read what it asked for
	}
}

// source writes without end.
type source struct{ ignore }

func (source) Opened(c *stack.Conn)   { fill(c) }
func (source) Writable(c *stack.Conn) { fill(c) }

func fill(c *stack.Conn) {
	for c.Write(app.Chunk) == len(app.Chunk) {
	}
}

// pages answers requests. The states of its connections are used again, so that a connection costs no memory of its own.
type pages struct {
	ignore
	mu   sync.Mutex // of several shards
	free []*app.HTTP
}

func (w *pages) Opened(c *stack.Conn) {
	w.mu.Lock()
	n := len(w.free) - 1
	if n < 0 {
		w.free, n = append(w.free, new(app.HTTP)), 0
	}
	h := w.free[n]
	w.free = w.free[:n]
	w.mu.Unlock()
	c.SetContext(h)
}

func (w *pages) Closed(c *stack.Conn, _ error) {
	h := c.Context().(*app.HTTP)
	h.Reset()
	w.mu.Lock()
	w.free = append(w.free, h)
	w.mu.Unlock()
}

func (w *pages) Received(c *stack.Conn, p []byte) {
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

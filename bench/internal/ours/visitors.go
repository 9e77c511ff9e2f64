package ours

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/xdpstack/xdpstack/bench/internal/app"
	"github.com/xdpstack/xdpstack/bench/internal/load"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// handler makes the one of a connection, or of a slot in which one connection follows the other.
func (c *client) handler() stack.Handler {
	switch c.cfg.Work {
	case load.Receive:
		return &writer{staying: staying{c}}
	case load.Send:
		return &reader{staying: staying{c}}
	case load.Ping:
		return &pinger{staying: staying{c}}
	case load.Connect:
		return &visitor{client: c}
	}
	return &asker{staying: staying{c}}
}

var errEnded = errors.New("client: the server closed the connection")

// staying is what the handlers of connections that stay have in common: that one ends, ends the run.
type staying struct{ client *client }

func (s staying) Writable(*stack.Conn)     {}
func (s staying) PeerClosed(c *stack.Conn) { c.Close() }

func (s staying) Closed(_ *stack.Conn, err error) {
	if err == nil {
		err = errEnded
	}
	s.client.fail(err)
}

// send sends a whole request.
func (s staying) send(c *stack.Conn, request []byte) {
	if n := c.Write(request); n < len(request) {
		s.client.fail(fmt.Errorf("client: sent %d of %d bytes of a request", n, len(request)))
		c.Abort()
	}
}

// asker asks again after each response.
type asker struct {
	staying
	begun  clock.Time
	answer app.Answer
}

func (a *asker) Opened(c *stack.Conn) {
	a.client.open.Add(1)
	a.ask(c)
}

func (a *asker) ask(c *stack.Conn) {
	a.begun = c.Now()
	a.send(c, app.KeepAlive)
}

func (a *asker) Received(c *stack.Conn, p []byte) {
	done, err := a.answer.Add(p)
	if err != nil {
		a.client.fail(err)
		c.Abort()
		return
	}
	if done {
		a.client.finished(c.Shard(), a.begun, c.Now())
		a.ask(c)
	}
}

// pinger measures the latency of an echo. It reads the clock itself: the time of a step is when the step began.
type pinger struct {
	staying
	begun clock.Time
	got   int
}

func (h *pinger) Opened(c *stack.Conn) {
	h.client.open.Add(1)
	h.begun = clock.Now()
	h.send(c, app.Ping)
}

func (h *pinger) Received(c *stack.Conn, p []byte) {
	if n := len(app.Ping) - h.got; len(p) > n || !bytes.Equal(p, app.Ping[h.got:h.got+len(p)]) {
		h.client.fail(fmt.Errorf("client: wrong echo at byte %d: %q", h.got, p))
		c.Abort()
		return
	}
	if h.got += len(p); h.got < len(app.Ping) {
		return
	}
	now := clock.Now()
	h.client.finished(c.Shard(), h.begun, now)
	h.begun, h.got = now, 0
	h.send(c, app.Ping)
}

// writer writes without end. What counts is what the server has acknowledged.
type writer struct {
	staying
	acked uint64
}

func (w *writer) Opened(c *stack.Conn) {
	w.client.open.Add(1)
	fill(c)
}

func (w *writer) Writable(c *stack.Conn) {
	acked := c.TCPInfo().BytesAcked
	w.client.count.Add(acked - w.acked)
	w.client.moved.Add(1)
	w.acked = acked
	fill(c)
}

func (w *writer) Received(*stack.Conn, []byte) {}

// reader reads and counts.
type reader struct{ staying }

func (r *reader) Opened(*stack.Conn) { r.client.open.Add(1) }

func (r *reader) Received(_ *stack.Conn, p []byte) {
	r.client.count.Add(uint64(len(p)))
	r.client.moved.Add(1)
}

// visitor connects, asks once, waits for the server to close, and connects again.
type visitor struct {
	client *client
	begun  clock.Time
	answer app.Answer
	done   bool
}

func (v *visitor) Opened(c *stack.Conn) {
	if n := c.Write(app.OneShot); n < len(app.OneShot) {
		c.Abort()
	}
}

func (v *visitor) Received(c *stack.Conn, p []byte) {
	done, err := v.answer.Add(p)
	if err != nil {
		v.client.fail(err)
		c.Abort()
		return
	}
	v.done = v.done || done
}

func (v *visitor) Writable(*stack.Conn)     {}
func (v *visitor) PeerClosed(c *stack.Conn) { c.Close() }

func (v *visitor) Closed(c *stack.Conn, err error) {
	if err == nil && !v.done {
		err = fmt.Errorf("client: the connection ended before the response was complete")
	}
	now := c.Now()
	if err != nil {
		v.client.errors.Add(1)
		v.client.lastErr.Store(&err)
	} else if v.begun != 0 {
		v.client.finished(c.Shard(), v.begun, now)
	}
	*v = visitor{client: v.client, begun: now}
	// When the stack is being closed, this is what ends the chain.
	if err := v.client.stack.Shard(c.Shard()).Connect(v.client.remote, v); err != nil && !errors.Is(err, net.ErrClosed) {
		v.client.fail(err)
	}
}

package load

import (
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// take returns a connection that is not in use.
func (w *worker) take() *conn {
	if c := w.free.pop(); c != nil {
		return c
	}
	n := len(w.conns)
	depth := w.cfg.Pipeline
	if w.wheel.Size() < n+connBlock {
		w.wheel.Grow(2 * (n + connBlock))
	}
	block, ring := make([]conn, connBlock), make([]asked, connBlock*depth)
	for i := range block {
		c := &block[i]
		c.w, c.id, c.ring = w, uint32(n+i), ring[i*depth:(i+1)*depth:(i+1)*depth]
		w.conns = append(w.conns, c)
		w.free.push(c)
	}
	return w.free.pop()
}

// connect opens a connection to the next target. It returns nil, and why, if that is not possible.
func (w *worker) connect(c *conn) error {
	target, remote := w.remote()
	sc, err := w.dialer.OpenOn(w.shard, remote, c)
	if err != nil {
		return err
	}
	w.used++
	w.gauges.Opening++
	c.c, c.target, c.state, c.began = sc, target, connOpening, w.now
	c.unsent, c.got, c.answered, c.timed, c.thought = nil, 0, 0, false, false
	c.reader.Reset()
	w.wheel.Set(c.id, w.now.Add(w.cfg.ConnectTimeout))
	return nil
}

// visit opens a connection for one request, and reports false if that has to wait. One that cannot be opened is a failed request.
func (w *worker) visit(at clock.Time) bool {
	if w.retryAt.After(w.now) {
		if w.noPort {
			w.refuse(at, NoPort)
		}
		return w.noPort
	}
	c := w.take()
	if err := w.connect(c); err != nil {
		w.free.push(c)
		r := reasonOf(err, ConnectTimeout)
		w.refuse(at, r)
		if w.noPort = r == NoPort; w.noPort {
			w.retryAt = w.now.Add(portTime)
		}
		return true
	}
	c.add(at)
	return true
}

// refuse counts a request that cannot be begun.
func (w *worker) refuse(at clock.Time, r Reason) {
	w.rec.ConnectsLost++
	w.fail(at, r)
}

// fill opens the connections that are to be there.
func (w *worker) fill() {
	if w.state >= Draining || w.udp != nil || w.tls != nil || w.retryAt.After(w.now) {
		return
	}
	if w.cfg.Mode == Connections {
		if !w.open && w.state != Opening {
			w.fillVisits()
		}
		return
	}
	for w.used < w.share && w.gauges.Opening < w.cfg.MaxOpening {
		c := w.take()
		w.attempts++
		if err := w.connect(c); err != nil {
			w.free.push(c)
			w.rec.ConnectsLost++
			w.missed(reasonOf(err, ConnectTimeout))
			w.retryAt = w.now.Add(retryTime)
			w.attempts = max(w.attempts, w.share) // none of the others would fare better now
			return
		}
	}
}

// missed counts an attempt at a connection for requests to come. In a closed loop it stands for the request that would have been made: a
// run of so many ends, though nobody answers.
func (w *worker) missed(r Reason) {
	if w.lost(r); !w.open && w.left > 0 {
		w.left--
	}
}

// fillVisits has each connection of a closed loop of visits be followed by the next.
func (w *worker) fillVisits() {
	for w.used < w.share && w.left > 0 && !w.retryAt.After(w.now) {
		if w.gauges.Opening >= w.cfg.MaxOpening {
			return
		}
		w.left--
		lost := w.rec.ConnectsLost
		w.visit(w.now)
		if w.rec.ConnectsLost != lost && !w.retryAt.After(w.now) {
			w.retryAt = w.now.Add(portTime)
		}
	}
}

// gone takes back a connection that has ended.
func (w *worker) gone(c *conn) {
	if c.state == connOpening {
		w.gauges.Opening--
	} else {
		w.gauges.Open--
	}
	failed := c.state == connOpening
	c.c, c.head, c.n = nil, 0, 0
	closed := w.cfg.Mode == Connections && !w.open
	if closed && w.cfg.Think > 0 && w.state < Draining {
		c.state = connThinks
		w.wheel.Set(c.id, w.now.Add(w.cfg.Think))
		return
	}
	w.leave(c)
	switch {
	case w.state >= Draining:
	case failed && w.cfg.Mode != Connections:
		w.retryAt = w.now.Add(retryTime)
	case closed:
		w.fillVisits()
	case w.waiting.n > 0:
		w.launch()
	}
}

// leave makes a connection one that is not in use.
func (w *worker) leave(c *conn) {
	w.used--
	w.wheel.Cancel(c.id)
	c.state = connFree
	w.free.push(c)
}

// expire deals with the connections whose time is over.
func (w *worker) expire() {
	for {
		n := w.wheel.Advance(w.now, w.due)
		for _, id := range w.due[:n] {
			w.conns[id].expired()
		}
		if n < len(w.due) {
			return
		}
	}
}

var _ stack.Handler = (*conn)(nil)

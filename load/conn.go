package load

import (
	"bytes"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/http1"
	"github.com/xdpstack/xdpstack/stack"
)

// conn is one TCP connection of a worker, and its handler.
type conn struct {
	w *worker
	c *stack.Conn

	next    *conn // in the list that it is in
	id      uint32
	target  uint16
	state   connState
	listed  bool // in the list of those that are ready
	timed   bool // a request is timed
	thought bool // it has had a request, and is to think before the next

	head, n  uint16     // of ring
	ring     []asked    // the requests under way, in their order
	unsent   []byte     // the rest of a request that there was no room for
	got      int        // bytes of the present echo
	answered clock.Time // when the present response began; 0: it has not
	began    clock.Time // when connecting began
	reader   http1.Reader
}

// asked is a request under way.
type asked struct{ intended, begun clock.Time }

// connState is how far a connection is.
type connState uint8

const (
	connFree    connState = iota // there is none
	connOpening                  // the SYN is on its way
	connOpen                     // requests can be made
	connThinks                   // it waits before the next request
	connClosing                  // it is over, but for the stack
)

// ready reports whether a request can be made on it now.
func (c *conn) ready() bool {
	return c.state == connOpen && int(c.n) < len(c.ring) && len(c.unsent) == 0
}

// add notes a request of which nothing has been sent.
func (c *conn) add(intended clock.Time) {
	i := int(c.head) + int(c.n)
	if i >= len(c.ring) {
		i -= len(c.ring)
	}
	c.ring[i] = asked{intended: intended, begun: c.w.now}
	c.n++
	c.w.gauges.InFlight++
	if c.w.counts(intended) {
		c.w.rec.Started++
	}
}

// remove takes the oldest request away and returns when it was intended.
func (c *conn) remove() clock.Time {
	t := c.ring[c.head].intended
	if c.head++; int(c.head) == len(c.ring) {
		c.head = 0
	}
	c.n--
	c.w.gauges.InFlight--
	c.answered, c.got = 0, 0
	return t
}

// begin makes a request on a connection that is ready.
func (c *conn) begin(intended clock.Time) {
	c.add(intended)
	if !c.timed { // else it looks what is under way when the time is over
		c.timed = true
		c.w.wheel.Set(c.id, c.w.now.Add(c.w.cfg.RequestTimeout))
	}
	c.write(c.w.requests[c.target])
}

// write sends bytes now, and the rest when there is room.
func (c *conn) write(p []byte) {
	n := c.c.Write(p)
	c.w.rec.BytesSent += uint64(n)
	c.unsent = p[n:]
}

// Opened makes the first requests.
func (c *conn) Opened(sc *stack.Conn) {
	w := c.w
	if c.state != connOpening {
		return // given up meanwhile
	}
	c.state = connOpen
	w.gauges.Opening--
	w.gauges.Open++
	w.rec.Connects++
	since(w.rec.Connect, c.began, w.now)
	sc.SetNoDelay(true) // requests are not to wait for the ACK of others
	w.wheel.Cancel(c.id)
	switch {
	case w.cfg.Mode.streams():
		c.stream()
	case w.cfg.Mode == Connections && w.cfg.NoPayload:
		c.complete(0)
		c.close()
	case w.cfg.Mode == Connections:
		c.ring[c.head].begun = w.now
		w.wheel.Set(c.id, w.now.Add(w.cfg.RequestTimeout))
		c.write(w.requests[c.target])
	default:
		w.offer(c)
	}
}

// Writable goes on with what there was no room for.
func (c *conn) Writable(*stack.Conn) {
	if c.w.cfg.Mode.streams() {
		c.stream()
		return
	}
	if len(c.unsent) == 0 || c.state == connClosing {
		return
	}
	c.write(c.unsent)
	c.w.offer(c)
}

// stream writes as much as there is room for.
func (c *conn) stream() {
	if c.w.cfg.Mode == Download || c.state != connOpen {
		return
	}
	for {
		n := c.c.Write(streamPiece)
		c.w.rec.BytesSent += uint64(n)
		if n < len(streamPiece) {
			return
		}
	}
}

// streamPiece is what uploads write at a time: many full segments.
var streamPiece = make([]byte, 64<<10)

// Received takes responses.
func (c *conn) Received(_ *stack.Conn, p []byte) {
	w := c.w
	w.rec.BytesReceived += uint64(len(p))
	if w.cfg.Mode.streams() || c.state == connClosing {
		return
	}
	for len(p) > 0 {
		if c.n == 0 {
			w.lost(BadResponse) // an answer that nobody asked for
			c.abort()
			return
		}
		if c.answered == 0 {
			c.answered = w.now
		}
		n, done, err := c.read(p)
		if err != nil {
			c.failHead(BadResponse)
			c.giveUp(PeerClosed)
			c.abort()
			return
		}
		p = p[n:]
		if done && !c.answer() {
			return
		}
	}
	w.offer(c)
}

// read takes bytes of the present response.
func (c *conn) read(p []byte) (n int, done bool, err error) {
	if c.w.cfg.Protocol == HTTP {
		return c.reader.Read(p, c.w.headRequest, &c.w.memo)
	}
	want := c.w.cfg.Payload[c.got:]
	n = min(len(p), len(want))
	if !bytes.Equal(p[:n], want[:n]) {
		return 0, false, http1.ErrResponse
	}
	c.got += n
	return n, n == len(want), nil
}

// answer deals with a complete response, and reports whether the connection goes on.
func (c *conn) answer() bool {
	status, keep := 0, true
	if c.w.cfg.Protocol == HTTP {
		status, keep = c.reader.Response.Status, c.reader.Response.KeepAlive
	}
	c.complete(status)
	switch {
	case c.w.cfg.Mode == Connections && c.w.cfg.Reset:
		c.abort()
		return false
	case c.w.cfg.Mode == Connections && !keep:
		c.await() // the server closes first: TIME-WAIT is its own
		return false
	case c.w.cfg.Mode == Connections:
		c.close()
		return false
	case !keep:
		c.retry()
		c.close()
		return false
	}
	return true
}

// complete counts the oldest request as answered. status 0: of a protocol that has none.
func (c *conn) complete(status int) {
	answered := c.answered
	if intended := c.remove(); c.w.counts(intended) {
		c.w.answered(status, intended, answered, c.w.now)
	}
}

// failHead has the oldest request fail.
func (c *conn) failHead(r Reason) { c.w.fail(c.remove(), r) }

// giveUp has all requests fail.
func (c *conn) giveUp(r Reason) {
	for c.n > 0 {
		c.failHead(r)
	}
}

// retry has the requests that the server will not answer begin again elsewhere (RFC 9112 section 9.3.2): their latency goes on. Those of
// a closed loop are only begun anew.
func (c *conn) retry() {
	w := c.w
	for c.n > 0 {
		last := int(c.head) + int(c.n) - 1
		intended := c.ring[last%len(c.ring)].intended
		c.n--
		w.gauges.InFlight--
		w.rec.Retried++
		if w.counts(intended) {
			w.rec.Started--
		}
		if w.open {
			w.waiting.pushFront(intended)
		} else {
			w.left++
		}
	}
}

// PeerClosed ends what can have no response any more.
func (c *conn) PeerClosed(sc *stack.Conn) {
	w := c.w
	if c.state != connClosing {
		w.rec.ClosedByPeer++
	}
	if c.n > 0 && w.cfg.Protocol == HTTP && c.answered != 0 && c.reader.End() {
		c.complete(c.reader.Response.Status)
	}
	if c.n > 0 && c.answered != 0 {
		c.failHead(ShortBody)
	}
	c.giveUp(PeerClosed)
	c.state = connClosing
	sc.Close()
}

// Closed gives the connection back to the worker.
func (c *conn) Closed(_ *stack.Conn, err error) {
	w := c.w
	connected := c.state != connOpening
	switch {
	case !connected:
		c.notOpened(reasonOf(err, ConnectTimeout))
	case err != nil && c.n > 0:
		if c.answered != 0 && reasonOf(err, RequestTimeout) == Reset {
			c.failHead(ShortBody)
		}
		c.giveUp(reasonOf(err, RequestTimeout))
		w.rec.ClosedByPeer++
	case err != nil && c.state != connClosing:
		w.rec.ClosedByPeer++
	default:
		c.giveUp(PeerClosed)
	}
	w.gone(c)
}

// notOpened counts an attempt that came to nothing, for a reason: one that a request waited for is a failed request.
func (c *conn) notOpened(r Reason) {
	c.w.rec.ConnectsLost++
	if c.n > 0 {
		c.giveUp(r)
		c.w.reason, c.w.failed = r, true
		return
	}
	c.w.missed(r)
}

// expired is called when the connection's time is over.
func (c *conn) expired() {
	w := c.w
	switch c.state {
	case connOpening:
		r := ConnectTimeout
		if c.c.SoftErr() != nil {
			r = Unreachable // a router has said why
		}
		c.notOpened(r)
		c.abort()
	case connThinks:
		if w.cfg.Mode == Connections {
			w.leave(c)
			w.fillVisits()
			return
		}
		c.state = connOpen
		w.offer(c)
	case connOpen:
		if c.timed = c.n > 0; !c.timed {
			return
		}
		if due := c.ring[c.head].begun.Add(w.cfg.RequestTimeout); due.After(w.now) {
			w.wheel.Set(c.id, due)
			return
		}
		c.giveUp(RequestTimeout)
		c.abort()
	case connClosing:
		c.c.Abort()
	}
}

// close ends the connection as the run is to: with a FIN, or with a reset.
func (c *conn) close() {
	if c.w.cfg.Reset {
		c.abort()
		return
	}
	c.state = connClosing
	c.w.wheel.Set(c.id, c.w.now.Add(closeTimeout))
	c.c.Close()
}

// await lets the target close the connection.
func (c *conn) await() {
	c.state = connClosing
	c.w.wheel.Set(c.id, c.w.now.Add(closeTimeout))
}

// abort resets the connection.
func (c *conn) abort() {
	if c.state == connOpening {
		c.w.gauges.Opening--
		c.w.gauges.Open++ // gone takes it away again
	}
	if !c.w.cfg.Reset {
		c.w.rec.Dropped++
	}
	c.state = connClosing
	c.w.wheel.Set(c.id, clock.Never)
	c.c.Abort()
}

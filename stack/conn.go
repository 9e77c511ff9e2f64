package stack

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// Handler is told what happens to a connection, on the shard that owns it. The methods must not block: every connection of the
// shard waits for them. They may call every method of the connection, and of other connections of the same shard.
type Handler interface {
	// Opened: the connection is established. With tcp.Config.FastOpen it may be called before that: what an outgoing connection writes
	// in it goes with the SYN, what it writes later after the handshake.
	Opened(c *Conn)
	// Received: p is the next part of the peer's bytes. It is the memory that the packet arrived in, valid until Received returns,
	// unless it is kept with c.Retain.
	Received(c *Conn, p []byte)
	// Writable: there is room again after a Write that was short.
	Writable(c *Conn)
	// PeerClosed: the peer sends no more. The other direction goes on until Close or CloseWrite. It is called after the application
	// has closed, too.
	PeerClosed(c *Conn)
	// Closed: the connection is over, with err nil after an orderly close. Buffers that were retained are to be released here at the
	// latest; c must not be used afterwards.
	Closed(c *Conn, err error)
}

// Conn is a TCP connection seen from its shard. Its methods may be called only there: in a [Handler]'s methods.
//
// This is the part of it that points to the application's things. All else is in state, which the garbage collector does not scan.
type Conn struct {
	*state
	shard   *Shard
	context any    // the application's; of a connection of a TCPConn, that
	id      uint32 // number in the slab
	origin  uint32 // where the shard has the handler
}

// state is the part of a connection that points to nothing of the application's. It lies where the garbage collector does not see it:
// the tcp.Core and the tcp.Configs that it points to are kept by the shard, which its Conn points to.
type state struct {
	runNext uint32 // next connection in the run queue, or in the list of those that are free, plus one
	hopGen  uint32 // generation of the neighbour table when hop was looked up

	hop   ethernet.Addr // the next hop's, if connLinked is set
	tos   uint8         // differentiated services of what is sent, without the ECN bits
	flags connFlags

	tcp tcp.Conn // last: its end is touched less often
}

// connFlags are what is true of a connection in its shard.
type connFlags uint8

const (
	connOpen     connFlags = 1 << iota // the slab entry is in use
	connOpened                         // Opened was called
	connInRun                          // in the run queue
	connKeeps                          // the handler is a TCPConn, which takes the frames themselves
	connLinked                         // hop has the next hop's hardware address
	connParked                         // waits for that
	connHopRetry                       // is to ask for it again after hopRetry
	connWaiting                        // the listener that it came from counts it as one that the application has not been told of
)

func (c *Conn) is(f connFlags) bool { return c.flags&f != 0 }

// Write queues bytes to be sent and returns how many there was room for. After a short write, Writable is called when there is
// room again.
func (c *Conn) Write(p []byte) int {
	n := c.tcp.Write(p)
	c.shard.schedule(c) // Where nothing was taken for want of frames, there is a timer to be set.
	return n
}

// Reserve returns memory of a frame to write up to n bytes into, which Commit then sends from there: nothing is copied. It has n bytes
// unless a segment or the send buffer has room for fewer; it is nil when nothing can be written, and Writable is called when that has
// changed. The memory may be written to until the callback returns, or until another Reserve on this shard or a Write of c; what is not
// committed by then is forgotten.
func (c *Conn) Reserve(n int) []byte {
	b := c.tcp.Reserve(n)
	if b == nil {
		c.shard.schedule(c) // There may be a timer to be set, as in Write.
	}
	return b
}

// Commit queues the first n bytes of what Reserve returned. It reports false, and queues nothing, if c has no such reservation.
func (c *Conn) Commit(n int) bool {
	ok := c.tcp.Commit(n)
	if ok {
		c.shard.schedule(c)
	}
	return ok
}

// CloseWrite sends what is queued and then a FIN; receiving goes on.
func (c *Conn) CloseWrite() {
	c.tcp.CloseWrite(c.shard.now)
	c.shard.schedule(c)
}

// Close sends what is queued and then a FIN; what the peer still sends is not delivered (RFC 9293 section 3.10.4).
func (c *Conn) Close() {
	c.tcp.Close(c.shard.now)
	c.shard.schedule(c)
}

// Abort gives up what is queued and sends a RST.
func (c *Conn) Abort() {
	c.tcp.Abort(c.shard.now)
	c.shard.schedule(c)
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() netip.AddrPort {
	return c.tcp.Flow().Local()
}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() netip.AddrPort {
	return c.tcp.Flow().Remote()
}

// SetContext keeps a value of the application's with the connection.
func (c *Conn) SetContext(v any) { c.context = v }

// Context returns the value of SetContext.
func (c *Conn) Context() any { return c.context }

// Info returns the state of the connection, for people.
func (c *Conn) Info() tcp.Info { return c.tcp.Info() }

// TCPInfo returns the state of the connection in the fields and units of Linux's tcp_info.
func (c *Conn) TCPInfo() tcp.TCPInfo { return c.tcp.TCPInfo(c.shard.now) }

// Shard returns the number of the shard that the connection belongs to.
func (c *Conn) Shard() int { return c.shard.id }

// Now returns the time of the shard's present step.
func (c *Conn) Now() clock.Time { return c.shard.now }

// deliver hands over to the application what the last run of the connection brought, and reports whether the connection is still
// there afterwards.
func (s *Shard) deliver(c *Conn) bool {
	ev := c.tcp.TakeEvents()
	if ev&tcp.EventEstablished != 0 {
		s.established(c)
	}
	if ev&reportEvents != 0 {
		s.tell(c, ev)
	}
	if c.is(connKeeps) {
		c.context.(*TCPConn).receive(c)
	} else {
		s.handOver(c)
	}
	ev |= c.tcp.TakeEvents()
	if ev&tcp.EventWritable != 0 && c.is(connOpened) {
		c.handler().Writable(c)
	}
	if ev&tcp.EventPeerClosed != 0 && c.is(connOpened) {
		c.handler().PeerClosed(c)
	}
	// The callbacks may have ended the connection.
	ev |= c.tcp.TakeEvents()
	switch {
	case ev&tcp.EventTimeWait != 0:
		f := c.tcp.Flow()
		s.timeWait.Add(f, c.tcp.TimeWaitRecord(), s.now)
		s.stack.directory.putTimeWait(&f, s.id)
		s.pull(c) // the ACK of the peer's FIN
		s.destroy(c, nil)
		return false
	case ev&tcp.EventClosed != 0:
		s.pull(c) // the RST, if there is one
		s.destroy(c, c.tcp.Err())
		return false
	}
	return true
}

func (s *Shard) established(c *Conn) {
	c.flags |= connOpened
	if rtt := c.tcp.RTT(); rtt > 0 {
		s.stats.Handshake.Observe(rtt)
	}
	if !c.is(connKeeps) {
		c.taken()
	}
	c.handler().Opened(c)
	if !c.is(connKeeps) {
		c.tcp.SendSYN(s.now) // Unless that wrote, the handler waits for the peer.
	}
}

// open puts a new connection of flow f into the table. It belongs to a TCPConn, or else to the handler of its origin. It returns nil
// when the shard has as many as it may.
func (s *Shard) open(f tcp.Flow, hash, origin uint32, t *TCPConn) *Conn {
	if s.conns.n >= s.cfg.MaxConns {
		s.stats.Drop.ConnLimit++
		return nil
	}
	c := s.conns.alloc()
	*c.state = state{flags: connOpen, tos: s.cfg.TOS}
	c.shard, c.origin = s, origin
	c.tcp.SetFlow(f)
	s.origins.use(origin)
	s.flows.insert(hash, c.id)
	if s.marks != nil {
		s.marks.Add(hash)
	}
	s.stats.Opened++
	if int(c.id) >= s.wheel.Size() {
		s.wheel.Grow(s.conns.size())
	}
	if t != nil {
		c.flags |= connKeeps
		c.context = t
		t.attach(c)
	}
	if s.tracer != nil {
		s.tracer.opened(c)
	}
	return c
}

// destroy ends a connection: the application is told, and everything that it held goes back.
func (s *Shard) destroy(c *Conn, err error) {
	c.taken()
	c.flags &^= connOpen
	c.handler().Closed(c, err)
	if s.tracer != nil {
		s.tracer.ended(c, err)
	}
	f := c.tcp.Flow()
	c.tcp.Release()
	hash := s.hash(&f)
	s.flows.remove(hash, c.id)
	if s.marks != nil {
		s.marks.Remove(hash)
	}
	s.stack.directory.remove(&f, s.id)
	s.wheel.Cancel(c.id)
	if c.is(connInRun) {
		s.unschedule(c)
	}
	s.origins.leave(c.origin)
	c.context = nil
	s.conns.release(c)
	s.stats.Closed++
}

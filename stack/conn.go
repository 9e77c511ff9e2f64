package stack

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
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
type Conn struct {
	tcp     tcp.Conn
	shard   *Shard
	handler Handler
	keeper  frameKeeper // the handler, if it takes the frames themselves
	context any
	owner   *listener // the listener that it came from, until the application has been told; else nil

	flow    tcp.Flow
	hash    uint32
	id      uint32 // number in the slab
	gen     uint32 // how often the slab entry was used: a command for an earlier connection is recognised
	runNext uint32 // next connection in the run queue, plus one

	header   headerTemplate
	nextHop  ipv4.Addr
	retained bool // Received kept the frame that is being handed over
	open     bool // the slab entry is in use
	opened   bool // Opened was called
	inRun    bool
	parked   bool        // waits for the next hop's hardware address
	hopRetry clock.Time  // when to ask for it again, if not 0
	current  frame.Index // the frame being handed over
}

// Write queues bytes to be sent and returns how many there was room for. After a short write, Writable is called when there is
// room again.
func (c *Conn) Write(p []byte) int {
	n := c.tcp.Write(p)
	if n > 0 {
		c.shard.schedule(c)
	}
	return n
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
	return netip.AddrPortFrom(netip.AddrFrom4(c.flow.LocalAddr), c.flow.LocalPort)
}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(c.flow.RemoteAddr), c.flow.RemotePort)
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

// Buffer is received payload that the application has kept. The peer's window stays smaller by its size until it is released.
type Buffer struct {
	frame frame.Index
	size  uint32
}

// Retain keeps the memory of the slice that Received was given, until Release. Only Received may call it. Every buffer must be
// released by the time that Closed returns: afterwards c must not be used, and the frame would be lost to the stack.
func (c *Conn) Retain() Buffer {
	c.retained = true
	p := c.shard.pool
	p.Retain(c.current)
	return Buffer{frame: c.current, size: p.Meta(c.current).Len}
}

// Release gives back what Retain kept.
func (c *Conn) Release(b Buffer) {
	c.shard.pool.Release(b.frame)
	c.tcp.Consumed(b.size)
	c.shard.schedule(c)
}

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
	for f := c.tcp.Recv(); f != frame.None; f = c.tcp.Recv() {
		s.handOver(c, f)
	}
	ev |= c.tcp.TakeEvents()
	if ev&tcp.EventWritable != 0 && c.opened {
		c.handler.Writable(c)
	}
	if ev&tcp.EventPeerClosed != 0 && c.opened {
		c.handler.PeerClosed(c)
	}
	// The callbacks may have ended the connection.
	ev |= c.tcp.TakeEvents()
	switch {
	case ev&tcp.EventTimeWait != 0:
		s.timeWait.Add(c.flow, c.tcp.TimeWaitRecord(), s.now)
		s.stack.directory.putTimeWait(&c.flow, s.id)
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
	c.opened = true
	if l := c.owner; l != nil && l.net == nil {
		c.owner = nil
		l.tcp.Taken()
	}
	c.handler.Opened(c)
	if c.keeper == nil {
		c.tcp.SendSYN(s.now) // Unless that wrote, the handler waits for the peer.
	}
}

// handOver gives one frame of payload to the application.
func (s *Shard) handOver(c *Conn, f frame.Index) {
	if c.keeper != nil {
		c.keeper.receivedFrame(c, f)
		return
	}
	n := s.pool.Meta(f).Len
	c.current, c.retained = f, false
	c.handler.Received(c, s.pool.Data(f))
	s.pool.Release(f)
	if !c.retained {
		c.tcp.Consumed(n)
	}
}

// frameKeeper is a handler inside this package that takes the frames themselves.
type frameKeeper interface {
	receivedFrame(c *Conn, f frame.Index)
}

// open puts a new connection of flow f into the table. It returns nil when the shard has as many as it may.
func (s *Shard) open(f tcp.Flow, hash uint32, h Handler) *Conn {
	if s.conns.n >= s.cfg.MaxConns {
		s.stats.Drop.ConnLimit++
		return nil
	}
	c := s.conns.alloc()
	*c = Conn{shard: s, handler: h, flow: f, hash: hash, id: c.id, gen: c.gen + 1, open: true}
	s.flows.insert(hash, c.id)
	s.stats.Opened++
	if int(c.id) >= s.wheel.Size() {
		s.wheel.Grow(len(s.conns.slabs) * slabSize)
	}
	c.nextHop, _ = s.stack.route(ipv4.Addr(f.RemoteAddr))
	c.header.init(s, &c.flow)
	if t, ok := h.(*TCPConn); ok {
		c.keeper = t
		t.attach(c)
	}
	return c
}

// destroy ends a connection: the application is told, and everything that it held goes back.
func (s *Shard) destroy(c *Conn, err error) {
	if l := c.owner; l != nil {
		c.owner = nil
		l.tcp.Taken()
	}
	c.open = false
	c.handler.Closed(c, err)
	c.tcp.Release()
	s.flows.remove(c.hash, c.id)
	s.stack.directory.remove(&c.flow, s.id)
	s.wheel.Cancel(c.id)
	if c.inRun {
		s.unschedule(c)
	}
	c.handler, c.keeper, c.context = nil, nil, nil
	s.conns.release(c)
	s.stats.Closed++
}

package stack

import (
	"net"

	"github.com/xdpstack/xdpstack/frame"
)

// What follows runs on the shard: the half of a TCPConn that is a [Handler].

// attach binds the adapter to its connection, before anybody else can see it.
func (t *TCPConn) attach(c *Conn) {
	t.shard, t.conn = c.shard, c
	c.shard.adapters[t] = struct{}{}
	t.local, t.remote = c.LocalAddr(), c.RemoteAddr()
}

// Opened hands the connection to Accept or Dial.
func (t *TCPConn) Opened(c *Conn) {
	t.held.Store(c.tcp.Held())
	t.in.promised = c.tcp.Promised()
	t.out.room = c.tcp.Room()
	t.shard.woke = true
	if t.opened != nil {
		close(t.opened)
	}
	if t.origin != nil {
		t.origin.deliver(t)
	}
}

// Received is not called: the connection takes the frames themselves.
func (t *TCPConn) Received(*Conn, []byte) {}

// receive hands over to Read what the last run of the connection brought, all at once. Where too much of the memory is held
// already, the payload is copied out of it, so that a slow reader cannot stop the NIC.
func (t *TCPConn) receive(c *Conn) {
	f := c.tcp.Recv()
	if f == frame.None {
		return
	}
	s, in := c.shard, &t.in
	if t.ending == askClose {
		for ; f != frame.None; f = c.tcp.Recv() {
			s.pool.Release(f)
		}
		c.Abort() // Nobody will read it, as in finish.
		return
	}
	in.mu.Lock()
	for ; f != frame.None; f = c.tcp.Recv() {
		if len(in.copies) == 0 && s.pool.Free() >= s.scarce {
			in.received.PushBack(s.pool, f)
			continue
		}
		in.copies = append(in.copies, s.pool.Data(f)...)
		s.stats.CopiedOut++
		s.pool.Release(f)
	}
	in.promised = c.tcp.Promised()
	in.changed.Signal()
	in.mu.Unlock()
	s.woke = true
	t.splice()
}

// Writable goes on with what waits for room.
func (t *TCPConn) Writable(*Conn) {
	t.push()
	t.splice()
}

// splice goes on with what is passed from this connection and to it, if anything is.
func (t *TCPConn) splice() {
	if t.from != nil {
		t.from.pump()
	}
	if t.to != nil {
		t.to.pump()
	}
}

// PeerClosed makes Read return io.EOF once everything before the FIN was read.
func (t *TCPConn) PeerClosed(*Conn) {
	t.in.mu.Lock()
	t.in.eof = true
	t.in.wakeAll()
	t.in.mu.Unlock()
	t.shard.woke = true
	t.splice()
}

// Closed ends every call that waits.
func (t *TCPConn) Closed(c *Conn, err error) {
	t.conn, t.shard.woke = nil, true
	if t.shard.stopping {
		err = net.ErrClosed
	}
	if err == nil {
		t.PeerClosed(c)
		t.out.end(net.ErrClosed)
	} else {
		t.in.end(err)
		t.out.end(err)
	}
	t.forget()
	t.splice()
	if t.opened != nil && !c.is(connOpened) {
		close(t.opened)
	}
}

// serve does what the application's methods have asked for.
func (t *TCPConn) serve() {
	asked := request(t.asked.Swap(0))
	c := t.conn
	if asked&askAccepted != 0 && c != nil {
		c.taken()
	}
	if asked&askSYN != 0 && c != nil {
		c.tcp.SendSYNSoon(t.shard.now)
		t.shard.schedule(c)
	}
	if asked&(askCredit|askCreditLazily) != 0 {
		t.settle()
	}
	if asked&askWrite != 0 {
		t.push()
	}
	if asked&askCloseWrite != 0 {
		t.endAfter(askCloseWrite)
	}
	if asked&(askClose|askAbort) != 0 {
		t.finish(asked&askAbort != 0)
	}
}

// finish ends the connection for an application that will not read any more. What came in since it asked for that is unread data,
// too.
func (t *TCPConn) finish(abort bool) {
	in := &t.in
	in.mu.Lock()
	unread := !in.received.Empty() || len(in.copies) > 0
	in.returned.Append(t.shard.pool, &in.received)
	in.copies = nil
	in.mu.Unlock()
	t.settle()
	delete(t.shard.adapters, t)
	switch {
	case t.conn == nil:
	case abort || unread:
		t.conn.Abort()
	default:
		t.endAfter(askClose)
	}
}

// endAfter ends the sending side, or both, once all that was written has been taken: at once, but for what found no frame.
func (t *TCPConn) endAfter(what request) {
	t.ending = max(t.ending, what)
	t.push()
}

// push moves as much as there is room for into the connection: of the buffer, then of what a Write waits with.
func (t *TCPConn) push() {
	c, o := t.conn, &t.out
	if c == nil {
		return
	}
	o.mu.Lock()
	done := true
	if o.buffer != nil {
		o.first += c.Write(o.buffer[o.first:o.last])
		done = o.first == o.last
		if done {
			t.shard.stack.takeBack(o.buffer)
			o.buffer, o.first, o.last = nil, 0, 0
		}
	}
	switch {
	case o.closed || o.shut:
		o.waiting = nil // The Write that waits ends without it.
	case done && o.waiting != nil:
		done = o.writeWaiting(c)
		t.shard.woke = t.shard.woke || done
	}
	o.room = c.tcp.Room() - (o.last - o.first)
	o.mu.Unlock()
	switch {
	case !done:
	case t.ending == askClose:
		c.Close()
	case t.ending == askCloseWrite:
		c.CloseWrite()
	}
}

// writeWaiting moves what a Write waits with, and ends its wait when that is all. The caller holds mu.
func (o *outbound) writeWaiting(c *Conn) bool {
	for len(o.waiting) > 0 {
		b := o.waiting[0][o.offset:]
		n := c.Write(b)
		o.taken += n
		if n < len(b) {
			o.offset += n
			return false
		}
		o.waiting, o.offset = o.waiting[1:], 0
	}
	o.waiting = nil
	o.changed.Signal()
	return true
}

// forget gives up what was written and will not be sent.
func (t *TCPConn) forget() {
	o := &t.out
	o.mu.Lock()
	if o.buffer != nil {
		t.shard.stack.takeBack(o.buffer)
		o.buffer, o.first, o.last = nil, 0, 0
	}
	o.mu.Unlock()
}

// settle takes back the frames that Read is done with and lets the window open.
func (t *TCPConn) settle() {
	in := &t.in
	in.mu.Lock()
	frames, n := in.returned, in.returnedBytes
	in.returned.Init()
	in.returnedBytes = 0
	in.mu.Unlock()
	frames.ReleaseAll(t.shard.pool)
	if t.conn != nil && n > 0 {
		t.conn.tcp.Consumed(n)
		t.shard.schedule(t.conn)
	}
}

package stack

import (
	"errors"
	"net"

	"github.com/xdpstack/xdpstack/frame"
)

// What follows runs on the shard: the half of a TCPConn that is a [Handler].

// errCancelled marks a Write whose slice was taken back before all of it was sent.
var errCancelled = errors.New("stack: write cancelled")

// attach binds the adapter to its connection, before anybody else can see it.
func (t *TCPConn) attach(c *Conn) {
	t.shard, t.conn = c.shard, c
	c.shard.adapters[t] = struct{}{}
	t.local, t.remote = net.TCPAddrFromAddrPort(c.LocalAddr()), net.TCPAddrFromAddrPort(c.RemoteAddr())
}

// Opened hands the connection to Accept or Dial.
func (t *TCPConn) Opened(c *Conn) {
	t.held.Store(c.tcp.Held())
	t.promised = c.tcp.Promised()
	close(t.established)
	if t.origin != nil {
		t.origin.deliver(t)
	}
}

// Received is not called: the connection takes the frames themselves.
func (t *TCPConn) Received(*Conn, []byte) {}

// receivedFrame hands a frame over to Read. Where too much of the memory is held already, the payload is copied out of it, so
// that a slow reader cannot stop the NIC.
func (t *TCPConn) receivedFrame(c *Conn, f frame.Index) {
	s := c.shard
	data := s.pool.Data(f)
	scarce := s.pool.Free() < s.scarce
	t.mu.Lock()
	first := len(t.received) == 0
	if scarce {
		t.copyOut(data)
	} else {
		t.received = append(t.received, chunk{data: data, frame: f})
	}
	t.promised = c.tcp.Promised()
	t.mu.Unlock()
	if scarce {
		s.stats.CopiedOut++
		s.pool.Release(f)
	}
	if first {
		t.wakeReader()
	}
}

// copyRoom is up to which length, in bytes, copies are joined: the window counts payload, and a peer that sends it byte by byte would
// otherwise have many times of that allocated.
const copyRoom = 2048

// copyOut keeps a copy of payload for Read, joined with the copy before it if there is one. The caller holds mu.
func (t *TCPConn) copyOut(data []byte) {
	if n := len(t.received); n != 0 {
		if last := &t.received[n-1]; last.frame == frame.None && len(last.data)+len(data) <= copyRoom {
			last.data = append(last.data, data...)
			return
		}
	}
	t.received = append(t.received, chunk{data: append([]byte(nil), data...), frame: frame.None})
}

func (t *TCPConn) wakeReader() {
	select {
	case t.readable <- struct{}{}:
	default:
	}
}

// Writable goes on with a Write that waits for room.
func (t *TCPConn) Writable(*Conn) {
	if t.pushOn {
		t.push()
	}
}

// PeerClosed makes Read return io.EOF once everything before the FIN was read.
func (t *TCPConn) PeerClosed(*Conn) {
	t.mu.Lock()
	t.eof = true
	t.mu.Unlock()
	t.wakeReader()
}

// Closed ends every call that waits.
func (t *TCPConn) Closed(c *Conn, err error) {
	t.mu.Lock()
	t.err = err
	if err == nil {
		t.eof = true
	}
	t.mu.Unlock()
	t.conn = nil
	if t.pushOn {
		if err == nil {
			err = net.ErrClosed
		}
		t.wroteAll(err)
	}
	close(t.finished)
	t.wakeReader()
}

// command runs what a method asked for.
func (t *TCPConn) command(op opcode) {
	switch op {
	case opWrite:
		t.pushOn = true
		t.push()
	case opCancelWrite:
		if t.pushOn {
			t.wroteAll(errCancelled)
		}
	case opAccepted:
		if t.conn != nil {
			t.conn.taken()
		}
	case opSendSYN:
		if t.conn != nil {
			t.conn.tcp.SendSYNSoon(t.shard.now)
			t.shard.schedule(t.conn)
		}
	case opCredit:
		t.settle()
	case opCloseWrite:
		if t.conn != nil {
			t.conn.CloseWrite()
		}
	case opClose, opAbort:
		t.finish(op == opAbort)
	}
}

// finish ends the connection for an application that will not read any more. What came in since it asked for that is unread data,
// too.
func (t *TCPConn) finish(abort bool) {
	t.settle()
	t.mu.Lock()
	unread := t.received
	t.received = nil
	t.mu.Unlock()
	for _, ch := range unread {
		if ch.frame != frame.None {
			t.shard.pool.Release(ch.frame)
		}
	}
	delete(t.shard.adapters, t)
	switch {
	case t.conn == nil:
	case abort || len(unread) > 0:
		t.conn.Abort()
	default:
		t.conn.Close()
	}
}

// push moves as much as there is room for from the waiting Write into the connection.
func (t *TCPConn) push() {
	if t.conn == nil {
		err := t.failure()
		if err == nil {
			err = net.ErrClosed
		}
		t.wroteAll(err)
		return
	}
	t.taken += t.conn.Write(t.writing[t.taken:])
	if t.taken == len(t.writing) {
		t.wroteAll(nil)
	}
}

// wroteAll ends the waiting Write. From here on the slice is the writer's again.
func (t *TCPConn) wroteAll(err error) {
	t.pushOn = false
	t.writeErr = err
	t.wrote <- struct{}{}
}

// settle takes back the frames that Read is done with and lets the window open.
func (t *TCPConn) settle() {
	t.creditPosted.Store(false)
	t.mu.Lock()
	frames, n := t.returned, t.returnedBytes
	t.returnedBytes = 0
	pool := t.shard.pool
	for _, f := range frames {
		pool.Release(f)
	}
	t.returned = frames[:0]
	t.mu.Unlock()
	if t.conn != nil && n > 0 {
		t.conn.tcp.Consumed(n)
		t.shard.schedule(t.conn)
	}
}

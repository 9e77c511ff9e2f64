package iperf3

import (
	"io"
	"net"
	"sync"

	"github.com/xdpstack/xdpstack/stack"
)

// maxUnread bounds what a client may send on the control connection before the server reads it, in bytes.
const maxUnread = maxResults + 4096

// controlConn is the server's end of a control connection, for one goroutine to read and write: it came to a handler, because only its
// first bytes tell it from a stream.
type controlConn struct {
	shard *stack.Shard

	// The shard's.
	conn    *stack.Conn // nil when it is over
	out     []byte      // what there was no room for
	closing bool

	mu   sync.Mutex
	some sync.Cond // there is more to read, or an error
	in   []byte
	err  error // why nothing more comes
}

func newControlConn(shard *stack.Shard, c *stack.Conn) *controlConn {
	k := &controlConn{shard: shard, conn: c}
	k.some.L = &k.mu
	c.SetNoDelay(true)
	return k
}

// Read reads what has come, waiting for the first byte.
func (k *controlConn) Read(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.in) == 0 && k.err == nil {
		k.some.Wait()
	}
	if len(k.in) == 0 {
		return 0, k.err
	}
	n := copy(p, k.in)
	k.in = k.in[n:]
	return n, nil
}

// Write queues p to be sent, and does not wait for it.
func (k *controlConn) Write(p []byte) (n int, err error) {
	err = k.shard.Do(func(*stack.Shard) {
		if k.conn == nil || k.closing {
			return
		}
		k.out = append(k.out, p...)
		k.flush(k.conn)
		n = len(p)
	})
	if err == nil && n < len(p) {
		err = net.ErrClosed
	}
	return n, err
}

// Close ends the connection after what was written.
func (k *controlConn) Close() error {
	k.fail(net.ErrClosed)
	return k.shard.Do(func(*stack.Shard) {
		if k.conn != nil && !k.closing {
			k.closing = true
			k.conn.SetLinger(5)
			k.flush(k.conn)
		}
	})
}

// flush sends what there is room for.
func (k *controlConn) flush(c *stack.Conn) {
	k.out = k.out[c.Write(k.out):]
	if len(k.out) == 0 {
		k.out = nil
		if k.closing {
			c.Close()
		}
	}
}

// received keeps what was received.
func (k *controlConn) received(c *stack.Conn, p []byte) {
	k.mu.Lock()
	full := len(k.in)+len(p) > maxUnread
	if !full && k.err == nil {
		k.in = append(k.in, p...)
		k.some.Broadcast()
	}
	k.mu.Unlock()
	if full {
		c.Abort()
	}
}

// peerClosed lets what has come be read, and then no more.
func (k *controlConn) peerClosed() { k.fail(io.EOF) }

func (k *controlConn) closed(err error) {
	k.conn = nil
	if err == nil {
		err = io.EOF
	}
	k.fail(err)
}

func (k *controlConn) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = err
	}
	k.some.Broadcast()
}

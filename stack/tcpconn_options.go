package stack

import (
	"net"
	"time"
)

// SetNoDelay turns the Nagle algorithm off or on, as net.TCPConn has it.
func (t *TCPConn) SetNoDelay(on bool) error { return t.set(func(c *Conn) { c.SetNoDelay(on) }) }

// SetKeepAlive has an idle connection probed or not, after two hours unless SetKeepAlivePeriod says otherwise, as net.TCPConn has it.
func (t *TCPConn) SetKeepAlive(on bool) error {
	return t.set(func(c *Conn) {
		if on {
			c.SetKeepAlive(-1)
		} else {
			c.SetKeepAlive(0)
		}
	})
}

// SetKeepAlivePeriod has the connection probed when it was idle for that long.
func (t *TCPConn) SetKeepAlivePeriod(d time.Duration) error {
	return t.set(func(c *Conn) { c.SetKeepAlive(d) })
}

// SetUserTimeout bounds how long what was sent may stay unacknowledged before the connection ends (RFC 5482); 0: only the number of
// retries does.
func (t *TCPConn) SetUserTimeout(d time.Duration) error {
	return t.set(func(c *Conn) { c.SetUserTimeout(d) })
}

// SetTOS sets the differentiated services field of what is sent from now on.
func (t *TCPConn) SetTOS(tos uint8) error { return t.set(func(c *Conn) { c.SetTOS(tos) }) }

// set changes the connection on its shard.
func (t *TCPConn) set(change func(c *Conn)) error {
	return t.try(func(c *Conn) error {
		change(c)
		return nil
	})
}

// try changes the connection on its shard, which may refuse.
func (t *TCPConn) try(change func(c *Conn) error) error {
	err := net.ErrClosed
	select {
	case <-t.closing:
		return t.opError("set", err)
	default:
	}
	t.shard.call(func(*Shard) {
		if t.conn != nil {
			err = change(t.conn)
		}
	})
	if err != nil {
		return t.opError("set", err)
	}
	return nil
}

// OnReport has fn called on the connection's shard with each report about it, from now on; nil ends that. fn must not block, and
// must not call methods of t.
func (t *TCPConn) OnReport(fn func(c *Conn, r Report)) error {
	return t.set(func(*Conn) { t.onReport = fn })
}

// Report passes a report on.
func (t *TCPConn) Report(c *Conn, r Report) {
	if t.onReport != nil {
		t.onReport(c, r)
	}
}

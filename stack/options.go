package stack

import (
	"net"
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

// SetNoDelay turns the Nagle algorithm off or on (RFC 9293 section 3.7.4).
func (c *Conn) SetNoDelay(on bool) {
	c.tcp.SetNoDelay(on)
	c.shard.schedule(c)
}

// SetKeepAlive has the connection probed when it was idle for that long; 0 ends that, negative is the default of two hours.
func (c *Conn) SetKeepAlive(idle time.Duration) {
	c.tcp.SetKeepAlive(idle, c.shard.now)
	c.shard.schedule(c)
}

// SetUserTimeout bounds how long what was sent may stay unacknowledged before the connection ends (RFC 5482); 0: only the number of
// retries does.
func (c *Conn) SetUserTimeout(d time.Duration) {
	c.tcp.SetUserTimeout(d, c.shard.now)
	c.shard.schedule(c)
}

// SetRetries bounds how often a segment is sent again before the peer counts as gone: 1 to 255.
func (c *Conn) SetRetries(n int) { c.tcp.SetRetries(n) }

// SetTOS sets the differentiated services field of what is sent from now on (RFC 9293 section 3.9.2). Its lower two bits are those
// of ECN, which are not the application's: they are left as they are.
func (c *Conn) SetTOS(tos uint8) { c.header.setTOS(tos) }

func (h *headerTemplate) setTOS(tos uint8) {
	const ecn = 3
	ip := h.bytes[ethernet.HeaderLen:]
	ip[1] = tos&^ecn | ip[1]&ecn
	h.ipSum = checksum.Sum(ip, 0)
}

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
	err := net.ErrClosed
	t.shard.call(func(*Shard) {
		if t.conn != nil {
			change(t.conn)
			err = nil
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

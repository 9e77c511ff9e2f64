package stack

import (
	"net"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// SetNoDelay turns the Nagle algorithm off or on, as net.TCPConn has it.
func (t *TCPConn) SetNoDelay(on bool) error { return t.set(func(c *Conn) { c.SetNoDelay(on) }) }

// SetCork holds back segments that are not full, each for at most 200 ms, or lets them go: between the two, what is written in pieces
// goes out in full segments.
func (t *TCPConn) SetCork(on bool) error { return t.set(func(c *Conn) { c.SetCork(on) }) }

// SetQuickACK has what comes in acknowledged at once, or not, until the connection finds that ACKs can go with data again: see
// [Conn.SetQuickACK].
func (t *TCPConn) SetQuickACK(on bool) error { return t.set(func(c *Conn) { c.SetQuickACK(on) }) }

// SetCongestion changes the congestion control: see [Conn.SetCongestion].
func (t *TCPConn) SetCongestion(name string) error {
	var refused error
	if err := t.set(func(c *Conn) { refused = c.SetCongestion(name) }); err != nil {
		return err
	}
	return refused
}

// SetMaxPacingRate bounds how many bytes of payload are sent in a second: see [Conn.SetMaxPacingRate].
func (t *TCPConn) SetMaxPacingRate(rate uint64) error {
	return t.set(func(c *Conn) { c.SetMaxPacingRate(rate) })
}

// SetKeepAlive has an idle connection probed or not, after two hours unless a time was set, as net.TCPConn has it.
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

// What a net.KeepAliveConfig has instead of its zero fields.
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// SetKeepAliveConfig says how an idle connection is probed, as net.TCPConn has it: a field that is zero is 15 s, 15 s or 9 probes, and one
// that is negative stays as it is.
func (t *TCPConn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	setDefault(&config.Idle, keepAliveIdle)
	setDefault(&config.Interval, keepAliveInterval)
	setDefault(&config.Count, keepAliveCount)
	return t.set(func(c *Conn) {
		c.SetKeepAliveConfig(tcp.KeepAlive{Idle: config.Idle, Interval: config.Interval, Count: config.Count})
		if !config.Enable {
			c.SetKeepAlive(0)
		}
	})
}

// SetLinger says what Close does with what was written and not delivered, as net.TCPConn has it: with sec below 0, as by default, it is
// delivered in the background, with 0 it is thrown away with a reset, and otherwise the connection is reset after so many seconds.
func (t *TCPConn) SetLinger(sec int) error { return t.set(func(c *Conn) { c.SetLinger(sec) }) }

// SetMaxSegment makes segments no larger than that, in bytes of payload and options (TCP_MAXSEG): see [Conn.SetMaxSegment].
func (t *TCPConn) SetMaxSegment(bytes uint16) error {
	return t.try(func(c *Conn) error { return c.SetMaxSegment(bytes) })
}

// SetUserTimeout bounds how long what was sent may stay unacknowledged before the connection ends (RFC 5482); 0: only the number of
// retries does.
func (t *TCPConn) SetUserTimeout(d time.Duration) error {
	return t.set(func(c *Conn) { c.SetUserTimeout(d) })
}

// SetReadBuffer gives the receive buffer a fixed size in bytes, as net.TCPConn has it; 0 lets it follow the path, as it does by default.
func (t *TCPConn) SetReadBuffer(bytes int) error {
	return t.set(func(c *Conn) { c.SetRecvBuffer(bufferSize(bytes)) })
}

// SetWriteBuffer gives the send buffer a fixed size in bytes, as net.TCPConn has it; 0 lets it follow the congestion window, as it does
// by default.
func (t *TCPConn) SetWriteBuffer(bytes int) error {
	return t.set(func(c *Conn) { c.SetSendBuffer(bufferSize(bytes)) })
}

// SetNotSentLowat bounds how many bytes may be written and not yet sent (TCP_NOTSENT_LOWAT): Write waits while there are more. 0 is no
// bound but the send buffer's.
func (t *TCPConn) SetNotSentLowat(bytes int) error {
	return t.set(func(c *Conn) { c.SetNotSentLowat(bufferSize(bytes)) })
}

// bufferSize takes the size of a buffer as the net package has it.
func bufferSize(n int) uint32 { return uint32(min(max(n, 0), 1<<30)) }

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
	if t.isClosed() {
		return t.opError("set", err)
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

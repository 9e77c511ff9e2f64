package stack

import (
	"time"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

// An option of TCP is found in four places, by the same name: as a field of tcp.Config for every connection of a stack, a Dialer or a
// ListenConfig; as a method of tcp.Conn; and as a method of Conn and of TCPConn for one connection. The method of Conn runs on the
// shard: it calls that of tcp.Conn and schedules the connection, which may have something to send by it. The method of TCPConn has
// the shard call that of Conn.

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

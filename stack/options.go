package stack

import (
	"time"

	"github.com/xdpstack/xdpstack/tcp"
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

// SetCork holds back segments that are not full, each for at most 200 ms, or lets them go: between the two, what is written in pieces
// goes out in full segments.
func (c *Conn) SetCork(on bool) {
	c.tcp.SetCork(on)
	c.shard.schedule(c)
}

// SetQuickACK has what comes in acknowledged at once, or not, until the connection finds that ACKs can go with data again; as Linux's
// TCP_QUICKACK it is no lasting change. Config.DelayedACK of package tcp, negative, is one.
func (c *Conn) SetQuickACK(on bool) {
	c.tcp.SetQuickACK(on)
	c.shard.schedule(c)
}

// SetCongestion changes the congestion control, as Linux's TCP_CONGESTION does: the new one takes the window over. The names are those
// of Config.Congestion of package tcp.
func (c *Conn) SetCongestion(name string) error {
	err := c.tcp.SetCongestion(name)
	c.shard.schedule(c)
	return err
}

// SetMaxPacingRate bounds how many bytes of payload are sent in a second, as Linux's SO_MAX_PACING_RATE does; 0 is no bound.
func (c *Conn) SetMaxPacingRate(rate uint64) {
	c.tcp.SetMaxPacingRate(rate, c.shard.now)
	c.shard.schedule(c)
}

// SetKeepAlive has the connection probed when it was idle for that long; 0 ends that, negative is what was set before, or else two hours.
func (c *Conn) SetKeepAlive(idle time.Duration) {
	c.tcp.SetKeepAlive(idle, c.shard.now)
	c.shard.schedule(c)
}

// SetKeepAliveConfig is SetKeepAlive with the interval between unanswered probes, and how many of them end the connection. Those that
// are not above 0 stay as they are.
func (c *Conn) SetKeepAliveConfig(k tcp.KeepAlive) {
	c.tcp.SetKeepAliveConfig(k, c.shard.now)
	c.shard.schedule(c)
}

// SetLinger says what Close does with what was written and not delivered: with sec below 0, as by default, it is delivered in the
// background for as long as the peer answers, with 0 it is thrown away with a reset, and otherwise the connection is reset after so
// many seconds.
func (c *Conn) SetLinger(sec int) {
	switch {
	case sec < 0:
		c.tcp.SetLinger(0)
	case sec == 0:
		c.tcp.SetLinger(-1)
	default:
		c.tcp.SetLinger(time.Duration(sec) * time.Second)
	}
}

// SetMaxSegment makes segments no larger than that, in bytes of payload and options (TCP_MAXSEG). It can only make them smaller; to
// announce less to the peer too, set the MSS of a Dialer's or ListenConfig's TCP configuration.
func (c *Conn) SetMaxSegment(bytes uint16) error {
	err := c.tcp.SetMaxSegment(bytes)
	c.shard.schedule(c)
	return err
}

// SetUserTimeout bounds how long what was sent may stay unacknowledged before the connection ends (RFC 5482); 0: only the number of
// retries does.
func (c *Conn) SetUserTimeout(d time.Duration) {
	c.tcp.SetUserTimeout(d, c.shard.now)
	c.shard.schedule(c)
}

// SetRetries bounds how often a segment is sent again before the peer counts as gone: 1 to 255.
func (c *Conn) SetRetries(n int) { c.tcp.SetRetries(n) }

// SetRecvBuffer gives the receive buffer a fixed size in bytes; 0 lets it follow the path.
func (c *Conn) SetRecvBuffer(n uint32) {
	c.tcp.SetRecvBuffer(n)
	c.shard.schedule(c)
}

// SetSendBuffer gives the send buffer a fixed size in bytes; 0 lets it follow the congestion window.
func (c *Conn) SetSendBuffer(n uint32) {
	c.tcp.SetSendBuffer(n)
	c.shard.schedule(c)
}

// SetNotSentLowat bounds how many bytes may be written and not yet sent; 0: as many as the send buffer holds.
func (c *Conn) SetNotSentLowat(n uint32) {
	c.tcp.SetNotSentLowat(n)
	c.shard.schedule(c)
}

// SetTOS sets the differentiated services field of what is sent from now on (RFC 9293 section 3.9.2). Its lower two bits are those
// of ECN, which are not the application's: they are ignored, and TCP sets them as RFC 3168 says.
func (c *Conn) SetTOS(tos uint8) { c.tos = tos &^ tcp.ECNMask }

package tcp

import (
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// What follows changes a connection that exists: the options of sockets. What all connections of a Core share stays as it is. A
// connection with an option that is no flag has a configuration of its own, made when the first of them is set.

// Config returns the connection's configuration, with what was changed since it began. QuickACK is how many quick ACKs are left.
func (c *Conn) Config() Config {
	cfg := *c.cfg
	cfg.NoDelay, cfg.Cork, cfg.KeepAlive.Idle = c.is(flagNoDelay), c.is(flagCork), c.keepIdle()
	cfg.QuickACK = int(c.rcv.quick)
	return cfg
}

// ownConfig returns a configuration that belongs to this connection alone.
func (c *Conn) ownConfig() *Config {
	if !c.is(flagOwnConfig) {
		cfg := *c.cfg
		c.core.keep(&cfg)
		was := c.cfg
		c.cfg = &cfg
		c.core.leave(was)
		c.set(flagOwnConfig)
	}
	return c.cfg
}

// SetNoDelay turns the Nagle algorithm off or on (RFC 9293 section 3.7.4).
func (c *Conn) SetNoDelay(on bool) { c.hold(flagNoDelay, on) }

// SetCork holds back segments that are not full, or lets them go.
func (c *Conn) SetCork(on bool) { c.hold(flagCork, on) }

// hold changes what is held back. What was due until now may have to wait, with a timer that bounds that.
func (c *Conn) hold(f connFlags, on bool) {
	c.setFlag(f, on)
	if c.core != nil {
		c.settle(c.core.now)
	}
}

// SetCongestion changes the congestion control, as Linux's TCP_CONGESTION does: the new one takes the window over.
func (c *Conn) SetCongestion(name string) error {
	a, err := ParseCongestion(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	cfg := c.ownConfig()
	cfg.Congestion, cfg.algorithm = a.String(), a
	c.needModel()
	c.cc.Switch(a)
	c.updatePaced()
	return nil
}

// SetKeepAlive lets a connection be probed when it was idle for that long; 0 ends that, negative is what the configuration or an earlier
// call says, or else DefaultKeepAlive. Interval and count stay as they are.
func (c *Conn) SetKeepAlive(idle time.Duration, now clock.Time) {
	c.setFlag(flagKeepAlive, idle != 0)
	if idle > 0 {
		c.ownConfig().KeepAlive.Idle = idle
	}
	c.keepProbes = 0
	c.armSlow(now)
}

// SetKeepAliveConfig is SetKeepAlive with an interval and a count, of at most 255; those that are not above 0 stay as they are.
func (c *Conn) SetKeepAliveConfig(k KeepAlive, now clock.Time) {
	if k.Interval > 0 {
		c.ownConfig().KeepAlive.Interval = k.Interval
	}
	if k.Count > 0 {
		c.ownConfig().KeepAlive.Count = min(k.Count, 255)
	}
	c.SetKeepAlive(k.Idle, now)
}

// SetQuickACK has what comes in next acknowledged at once, what waits for its ACK included; or lets ACKs wait for company again. It is
// no lasting change: ACKs wait again after quickACKs of them, or once data of the application's has carried one, for then there is
// company to wait for. Config.DelayedACK below 0 is what lasts.
func (c *Conn) SetQuickACK(on bool) {
	r := &c.rcv
	if !on {
		r.quick = 0
		return
	}
	r.quick = quickACKs
	if c.state >= StateEstablished && r.nxt != r.acked {
		c.due |= dueACK
	}
}

// quickACKs is how many ACKs SetQuickACK sends at once: Linux's number.
const quickACKs = 16

// SetLinger bounds how long the connection may go on delivering after Close, as Config.Linger has it.
func (c *Conn) SetLinger(d time.Duration) { c.ownConfig().Linger = d }

// SetMaxSegment makes segments no larger than mss bytes, those of their options that each carries included. Before the SYN was sent it is
// also what is announced to the peer. Less than MinMSS is refused, and more than what was agreed on or than the path takes has no effect.
func (c *Conn) SetMaxSegment(mss uint16) error {
	if mss < MinMSS {
		return fmt.Errorf("%w: MSS %d is below %d", ErrConfig, mss, MinMSS)
	}
	if mss >= c.cfg.MSS {
		return nil
	}
	c.ownConfig().MSS = mss
	if c.state < StateSynReceived {
		c.snd.mss = min(c.snd.mss, c.core.evenMSS(mss))
		return nil
	}
	c.limitMSS(mss - c.optionsLen())
	return nil
}

// SetUserTimeout bounds how long sent data may stay unacknowledged on this connection (RFC 5482); 0: only the number of retries does.
func (c *Conn) SetUserTimeout(d time.Duration, now clock.Time) {
	c.ownConfig().UserTimeout = max(d, 0)
	if d > 0 && c.state >= StateEstablished && c.outstanding() != 0 {
		c.timers.rtx = min(c.timers.rtx, max(c.snd.progressAt.Add(d), now))
	}
}

// SetRetries bounds how often a segment is sent again on this connection, the SYN too, before the peer counts as gone: R2 of RFC 9293
// section 3.8.3. It is between 1 and 255.
func (c *Conn) SetRetries(n int) {
	cfg := c.ownConfig()
	cfg.Retries = min(max(n, 1), 255)
	cfg.SYNRetries = cfg.Retries
}

// SetRecvBuffer gives the receive buffer a fixed size in bytes, as SO_RCVBUF does; 0 lets it follow the path, from what it is. A window
// that was offered stays offered when the buffer shrinks. By the scale that was agreed on, none is larger than 65535 of its units, and
// the buffer is two of them at least: less could not be told the peer, and would close the window for good.
func (c *Conn) SetRecvBuffer(n uint32) {
	if c.core == nil {
		return
	}
	cfg := c.ownConfig()
	cfg.RecvBuffer = min(n, maxBuffer)
	r := &c.rcv
	if n != 0 {
		r.buffer = max(cfg.RecvBuffer, 2<<r.scale)
	}
	r.tuning.space = min(r.tuning.space, r.buffer/4) // What a larger buffer let the path bring must not keep this one from growing.
	c.beginRound(c.core.now)
	c.offer()
}

// SetSendBuffer gives the send buffer a fixed size in bytes, as SO_SNDBUF does; 0 lets it follow the congestion window.
func (c *Conn) SetSendBuffer(n uint32) {
	if c.core == nil {
		return
	}
	c.ownConfig().SendBuffer = min(n, maxBuffer)
	c.maybeWritable()
}

// SetNotSentLowat bounds how many bytes may be written and not yet sent (TCP_NOTSENT_LOWAT); 0: as many as the send buffer holds.
func (c *Conn) SetNotSentLowat(n uint32) {
	if c.core == nil {
		return
	}
	c.ownConfig().NotSentLowat = n
	c.maybeWritable()
}

package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// What follows changes a connection that exists: the options of sockets. What all connections of a Core share stays as it is. A
// connection with an option that is no flag has a configuration of its own, made when the first of them is set.

// Config returns the connection's configuration, with what was changed since it began.
func (c *Conn) Config() Config {
	cfg := *c.cfg
	cfg.NoDelay, cfg.Cork = c.is(flagNoDelay), c.is(flagCork)
	return cfg
}

// ownConfig returns a configuration that belongs to this connection alone.
func (c *Conn) ownConfig() *Config {
	if !c.is(flagOwnConfig) {
		cfg := *c.cfg
		c.cfg = &cfg
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

// SetKeepAlive lets a connection be probed when it was idle for that long; 0 ends that, negative is DefaultKeepAlive. Interval and
// count stay as configured.
func (c *Conn) SetKeepAlive(idle time.Duration, now clock.Time) {
	if idle < 0 {
		idle = DefaultKeepAlive
	}
	c.timers.keepIdle = idle
	c.timers.keepProbes = 0
	c.armSlow(now)
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

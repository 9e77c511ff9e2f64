package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// keepIdle returns how long the connection is silent before it is probed; 0: it is not probed.
func (c *Conn) keepIdle() time.Duration {
	switch {
	case !c.is(flagKeepAlive):
		return 0
	case c.cfg.KeepAlive.Idle == 0: // It was turned on without a time.
		return DefaultKeepAlive
	}
	return c.cfg.KeepAlive.Idle
}

// keepAliveTimeout probes a connection that was idle for the configured time (RFC 9293 section 3.8.4). The timer is not moved by
// each segment: when it expires, the time of the last segment says whether it was due.
func (c *Conn) keepAliveTimeout(now clock.Time) {
	t, idle := &c.timers, c.keepIdle()
	if idle == 0 {
		return
	}
	if due := t.received.Add(idle); due > now {
		t.slow, c.keepProbes = due, 0
		return
	}
	if c.outstanding() != 0 || c.is(flagProbing) {
		// The retransmission or persist timer finds out whether the peer is there.
		t.slow = now.Add(idle)
		return
	}
	if c.unanswered(now) {
		c.abort(reasonTimeout)
		return
	}
	c.keepProbes++
	t.slow = now.Add(c.cfg.KeepAlive.Interval)
	if u := c.cfg.UserTimeout; u != 0 {
		t.slow = min(t.slow, max(t.received.Add(u), now+1))
	}
	c.due |= dueKeepAlive
}

// unanswered reports whether probes went unanswered for long enough to take the peer as gone: the user timeout if there is one, however
// many probes went out within it (RFC 5482 section 4.2), else the number of probes.
func (c *Conn) unanswered(now clock.Time) bool {
	t := &c.timers
	if u := c.cfg.UserTimeout; u != 0 {
		return c.keepProbes != 0 && now.Sub(t.received) >= u
	}
	return int(c.keepProbes) >= c.cfg.KeepAlive.Count
}

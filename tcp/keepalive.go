package tcp

import "github.com/xdpstack/xdpstack/internal/clock"

// keepAliveTimeout probes a connection that was idle for the configured time (RFC 9293 section 3.8.4). The timer is not moved by
// each segment: when it expires, the time of the last segment says whether it was due.
func (c *Conn) keepAliveTimeout(now clock.Time) {
	t := &c.timers
	if t.keepIdle <= 0 {
		return
	}
	if idle := t.received.Add(t.keepIdle); idle > now {
		t.slow, t.keepProbes = idle, 0
		return
	}
	if c.outstanding() != 0 || c.is(flagProbing) {
		// The retransmission or persist timer finds out whether the peer is there.
		t.slow = now.Add(t.keepIdle)
		return
	}
	if int(t.keepProbes) >= c.cfg.KeepAlive.Count {
		c.abort(reasonTimeout)
		return
	}
	t.keepProbes++
	t.slow = now.Add(c.cfg.KeepAlive.Interval)
	c.due |= dueKeepAlive
}

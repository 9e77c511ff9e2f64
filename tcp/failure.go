package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// What a peer that does not answer leads to is bound by two thresholds (RFC 9293 section 3.8.3). At R1 the application is told and the
// layers below are to look whether the way to the peer still works; at R2 the connection ends. R2 is Config.Retries, or
// Config.UserTimeout if that is over sooner.

// thresholdR1 is how often the same segment is sent again until R1.
const thresholdR1 = 3

// noteUnanswered tells that R1 is reached or exceeded, with each further time that the segment o is sent.
func (c *Conn) noteUnanswered(o *OutSegment) {
	if o.Len != 0 || o.Flags&(FlagSYN|FlagFIN) != 0 {
		c.events |= EventUnanswered
	}
}

// SoftErr returns what the last ICMP error said that did not end the connection, nil if there was none. It is why the connection will
// have ended if the peer stays silent.
func (c *Conn) SoftErr() error {
	if c.soft == reasonNone {
		return nil
	}
	return reasons[c.soft]
}

// SetUserTimeout bounds how long sent data may stay unacknowledged on this connection (RFC 5482); 0: only the number of retries does.
// The connection gets a configuration of its own by it.
func (c *Conn) SetUserTimeout(d time.Duration, now clock.Time) {
	c.ownConfig().UserTimeout = max(d, 0)
	if d > 0 && c.state >= StateEstablished && c.outstanding() != 0 {
		c.timers.rtx = min(c.timers.rtx, max(c.snd.progressAt.Add(d), now))
	}
}

// SetRetries bounds how often a segment is sent again on this connection, the SYN too, before the peer counts as gone: R2 of RFC 9293
// section 3.8.3. It is between 1 and 255. The connection gets a configuration of its own by it.
func (c *Conn) SetRetries(n int) {
	cfg := c.ownConfig()
	cfg.Retries = min(max(n, 1), 255)
	cfg.SYNRetries = cfg.Retries
}

// ownConfig makes a copy of the configuration for this connection alone.
func (c *Conn) ownConfig() *Config {
	cfg := *c.cfg
	c.cfg = &cfg
	return &cfg
}

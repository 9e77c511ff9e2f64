package tcp

import (
	"github.com/xdpstack/xdpstack/internal/clock"
)

// persistTimeout is called when nothing could be sent for a timeout although there is something to send: the window is closed, or
// too small to be worth a segment, or the application corked. One segment goes out all the same: as much as the window takes,
// or a single byte as a probe (RFC 9293 section 3.8.6.1). The interval doubles; the connection lives as long as the peer answers.
func (c *Conn) persistTimeout(now clock.Time) {
	d := &c.snd
	if !c.maySendData() || d.queue.Empty() {
		return
	}
	usable := d.una.Add(d.wnd).Sub(d.nxt)
	if usable > 0 {
		c.set(flagOverride) // Small, but not closed: this is no probe.
		return
	}
	if c.gaveUp(now) && c.timers.received < d.sentAt {
		c.silent()
		return
	}
	if d.retries < 255 {
		d.retries++
	}
	c.set(flagProbing)
	c.rtt.Backoff()
	c.core.Stats.WindowProbes++
	if front := d.queue.Front(); front != d.unsent {
		c.markLost(front)
		c.resend()
	} else {
		c.set(flagOverride)
	}
	c.timers.rtx = now.Add(c.rto())
}

// windowOpened is called when the peer's window grew after it had been closed. What was sent as a probe meanwhile found no room:
// it goes out again at once, and its loss says nothing about the path. ack is what the segment that opened the window
// acknowledges, which was not taken yet.
func (c *Conn) windowOpened(ack Seq, now clock.Time) {
	d, p := &c.snd, c.core.Pool
	if !c.is(flagProbing) {
		return
	}
	c.clear(flagProbing | flagOverride)
	c.rtt.ResetBackoff()
	d.retries = 0
	for f := d.queue.Front(); f != d.unsent; f = p.Meta(f).Next {
		if m := p.Meta(f); Seq(m.Seq).GreaterEq(ack) {
			c.markLost(f)
		}
	}
	c.resend()
	if c.outstanding() == 0 {
		c.timers.rtx = clock.Never
	} else {
		c.armRetransmit(now)
	}
}

package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// connectFast prepares the SYN of a client that uses Fast Open. With a cookie it waits for what is written first, and the connection
// counts as open for the application; without one it asks for it (RFC 7413 section 4.2.1).
func (c *Conn) connectFast(now clock.Time) {
	server, try := c.core.serverCookie(c.flow, now)
	if !try {
		return
	}
	c.set(flagFastOpen)
	if server == nil {
		return
	}
	c.set(flagHeld | flagTold)
	c.due &^= dueSYN
	c.timers.rtx = clock.Never
	c.events |= EventEstablished
}

// Held reports whether the SYN waits for what is written first: see Config.FastOpen and SendSYN.
func (c *Conn) Held() bool { return c.is(flagHeld) && c.state == StateSynSent }

// SendSYN sends a SYN that waits for what is written first, for an application that waits for the peer before it writes.
func (c *Conn) SendSYN(now clock.Time) {
	if !c.Held() {
		return
	}
	c.clear(flagHeld)
	c.due |= dueSYN
	c.timers.received = now
	c.timers.rtx = now.Add(initialRTO)
}

// readFirst is how long a SYN still waits for a Write when the application reads first: programs like net/http's client have a reader
// of their own, that is often there before the writer.
const readFirst = 2 * time.Millisecond

// SendSYNSoon is SendSYN, unless a Write comes very soon.
func (c *Conn) SendSYNSoon(now clock.Time) {
	if c.Held() {
		c.timers.rtx = min(c.timers.rtx, now.Add(readFirst))
	}
}

// outFastOpen adds the Fast Open option to the SYN and, with a cookie, what was written: as much as the segment has room for.
func (c *Conn) outFastOpen(now clock.Time, o *OutSegment) {
	st := &c.core.Stats
	server, _ := c.core.serverCookie(c.flow, now)
	if server == nil {
		o.SetCookie(optFastOpen, nil)
		st.FastOpenAsked++
		return
	}
	o.SetCookie(optFastOpen, server.cookie[:server.length])
	d, p := &c.snd, c.core.Pool
	f := d.unsent
	if f == frame.None {
		return
	}
	m := p.Meta(f)
	room := min(uint32(min(server.mss, c.cfg.MSS))-uint32(o.wireLen(true)), c.core.frameRoom) // One frame is enough for a request.
	if m.Len > room {
		var ok bool
		if f, ok = c.split(f, room); !ok {
			return
		}
		m = p.Meta(f)
	}
	o.Frame, o.Off, o.Len, o.Sum = f, m.Off, m.Len, m.Sum
	o.Copy = p.InTransmission(f)
	m.SentAt = now
	m.Sends++
	d.unsent = m.Next
	d.nxt = d.nxt.Add(m.Len)
	d.progressAt = now
	c.timers.rtx = min(c.timers.rtx, c.boundOpening())
	st.FastOpenSYNs++
	st.BytesOut += uint64(m.Len)
}

// giveUpFastOpen has the SYN sent again as an ordinary one, for nothing or an ICMP error came back: something on the path may not like
// the option or the data (RFC 7413 section 4.1.3.1). The answer to the first may still come.
func (c *Conn) giveUpFastOpen(now clock.Time) {
	if c.state == StateSynSent && c.is(flagFastOpen) {
		c.clear(flagFastOpen)
		c.core.fastOpenFailed(c.flow, now)
	}
}

// fastOpenAnswered takes the acknowledgment of a SYN, after the SYN itself, for the data that the SYN carried. What was not taken is
// sent again as if it had not been sent: it says nothing about the path.
func (c *Conn) fastOpenAnswered(s *Segment, now clock.Time) {
	d := &c.snd
	if d.nxt == d.una {
		return
	}
	c.releaseAcked(s.Ack)
	d.una = s.Ack
	if d.una == d.nxt {
		c.core.Stats.FastOpenData++
		c.set(flagFastOpen)
	} else {
		d.nxt, d.unsent = d.una, d.queue.Front()
		if s.CookieLen == 0 && !c.is(flagSYNLost) { // A SYN that was sent again has counted as a failure already.
			c.core.fastOpenFailed(c.flow, now)
		}
	}
	c.timers.rtx = clock.Never
	if c.is(flagWantWrite) {
		c.maybeWritable()
	}
}

// keepCookie notes the cookie that a SYN-ACK brings, if this side speaks Fast Open.
func (c *Conn) keepCookie(s *Segment, now clock.Time) {
	if s.FastOpen == optFastOpen && s.CookieLen != 0 && c.cfg.FastOpen&FastOpenClient != 0 {
		c.core.keepCookie(c.flow, s.cookie(), peerMSS(s), now)
		c.core.Stats.FastOpenCookies++
	}
}

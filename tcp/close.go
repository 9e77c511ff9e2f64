package tcp

import "github.com/xdpstack/xdpstack/internal/clock"

// CloseWrite ends the sending side: what was written is delivered, then a FIN (RFC 9293 section 3.10.4). Reading goes on.
func (c *Conn) CloseWrite(now clock.Time) {
	if c.is(flagFINQueued) {
		return
	}
	switch c.state {
	case StateSynSent, StateSynReceived:
		c.SendSYN(now)
		c.set(flagFINQueued) // The state changes when the handshake is complete.
	case StateEstablished, StateCloseWait:
		c.set(flagFINQueued)
		c.closeWritten(now)
	}
}

// closeWritten enters the state that follows the close of a side that is synchronized.
func (c *Conn) closeWritten(now clock.Time) {
	if c.state == StateCloseWait {
		c.setState(StateLastAck)
	} else {
		c.setState(StateFinWait1)
	}
	c.settle(now)
}

// Close ends both sides: what was written is still delivered, in the background, and what comes in is refused. If the application
// leaves data unread, or data still comes, the peer gets a reset, so that it does not take the data as delivered (RFC 9293
// section 3.6.1, RFC 2525 section 2.17).
func (c *Conn) Close(now clock.Time) {
	switch c.state {
	case StateClosed, StateTimeWait:
		return
	case StateSynSent:
		if !c.is(flagTold) || c.is(flagHeld) {
			c.finish(reasonAborted)
			return
		}
	}
	if c.cfg.Linger < 0 || c.rcv.unread() {
		c.abort(reasonAborted)
		return
	}
	c.set(flagAppClosed)
	c.CloseWrite(now)
	c.armSlow(now)
}

// Abort ends the connection at once and throws away what was not delivered. The peer gets a reset (RFC 9293 section 3.10.5).
func (c *Conn) Abort(now clock.Time) {
	if c.state == StateClosed {
		return
	}
	c.abort(reasonAborted)
	if c.core != nil {
		c.rcv.releaseQueue(c.core)
	}
}

// abort ends the connection for the reason and, in a state in which the peer knows of it, with a reset.
func (c *Conn) abort(why reason) {
	known := c.state != StateClosed && c.state != StateSynSent && c.state != StateTimeWait
	c.finish(why)
	if known {
		c.due = dueReset
	}
}

// finish enters CLOSED. What was received in order can still be read.
func (c *Conn) finish(why reason) {
	if c.state == StateClosed {
		return
	}
	c.setState(StateClosed)
	c.endEarly(why != reasonTimeout && why != reasonAborted)
	c.ended = why
	c.due &= dueBareReset
	c.rcv.dupACKs = 0
	c.timers.init()
	c.releaseSend()
	c.releaseReceive()
	c.events |= EventClosed
	c.core.Stats.Closed++
	if why != reasonNone {
		c.core.Stats.Failed++
	}
}

// enterTimeWait waits for old segments to die out (RFC 9293 section 3.6). Everything that was sent is acknowledged.
func (c *Conn) enterTimeWait(now clock.Time) {
	c.setState(StateTimeWait)
	c.timers.rtx = clock.Never
	c.releaseSend()
	c.releaseOutOfOrder()
	c.armSlow(now)
	c.events |= EventTimeWait
}

// finAcked is called when the FIN was acknowledged.
func (c *Conn) finAcked(now clock.Time) {
	switch c.state {
	case StateFinWait1:
		c.setState(StateFinWait2)
		c.armSlow(now)
	case StateClosing:
		c.enterTimeWait(now)
	case StateLastAck:
		c.finish(reasonNone)
	}
}

// finReceived is called when everything before the peer's FIN was received: RFC 9293 section 3.10.7.4, eighth.
func (c *Conn) finReceived(now clock.Time) {
	if c.hasHole() {
		// What was queued lies beyond the FIN: an impossible place, which only a forger or a broken peer fills.
		c.core.Stats.DropAfterFIN += uint64(c.rare().ooo.Len())
		c.releaseOutOfOrder()
	}
	c.rcv.nxt++
	c.rcv.read++ // The FIN takes no room in the buffer.
	if c.rcv.adv.Less(c.rcv.nxt) {
		c.rcv.adv = c.rcv.nxt
	}
	c.due |= dueACK
	c.events |= EventPeerClosed
	switch c.state {
	case StateSynReceived, StateEstablished:
		c.setState(StateCloseWait)
	case StateFinWait1:
		c.setState(StateClosing) // Our FIN is not acknowledged yet, or the state would be FIN-WAIT-2.
	case StateFinWait2:
		c.enterTimeWait(now)
	}
}

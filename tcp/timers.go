package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// timers are the times at which something must happen though no segment comes. Each is clock.Never when it is off.
type timers struct {
	// rtx is the retransmission timer while something is outstanding, the persist timer while something is to be sent but not
	// allowed out, and the handshake's timer before that.
	rtx clock.Time

	loss clock.Time // the tail loss probe, or when what SACK blocks show missing counts as lost
	ack  clock.Time // the delayed ACK
	slow clock.Time // by state: keep-alive, linger, FIN-WAIT-2, TIME-WAIT

	received clock.Time // when the last segment came
}

// Of a connection that found the frame pool used up. It waits for poolRetry before it looks again, or longer: only one of them looks in
// poolSpacing, or thousands would have no time left in which to take in the ACKs that set frames free. None waits longer than
// poolPatience.
const (
	poolRetry    = 5 * time.Millisecond
	poolSpacing  = 50 * time.Microsecond
	poolPatience = time.Second
)

func (t *timers) init() {
	t.rtx, t.loss, t.ack, t.slow = clock.Never, clock.Never, clock.Never, clock.Never
}

// Deadline returns when Expire must be called: clock.Never if no timer runs.
func (c *Conn) Deadline() clock.Time {
	t := &c.timers
	d := min(min(t.rtx, t.loss), min(t.ack, t.slow))
	if c.hasRare() {
		d = min(d, c.rare().pool)
	}
	if c.is(flagPaced) {
		d = min(d, c.paceDeadline())
	}
	return d
}

// Expire does what is due at the time. Output may have something to send then.
func (c *Conn) Expire(now clock.Time) {
	t := &c.timers
	if t.loss <= now {
		t.loss = clock.Never
		c.lossExpired(now)
	}
	if t.rtx <= now {
		t.rtx = clock.Never
		c.rtxExpired(now)
	}
	if t.ack <= now {
		t.ack = clock.Never
		c.due |= dueACK
		c.rcv.shrinkMSS()
	}
	if t.slow <= now {
		t.slow = clock.Never
		c.slowExpired(now)
	}
	if x := c.rare(); x.pool <= now {
		x.pool = clock.Never // It is a record of the connection's own: the one at rest never expires.
		c.poolExpired(now)
	}
	c.settle(now)
	c.mayRest()
}

// rtxExpired is called when the first of the timers in rtx expired.
func (c *Conn) rtxExpired(now clock.Time) {
	switch {
	case c.Held():
		c.SendSYN(now)
	case c.state == StateSynSent || c.state == StateSynReceived:
		c.handshakeTimeout(now)
	case c.outstanding() == 0 || (c.snd.wnd == 0 && !c.snd.queue.Empty()):
		c.persistTimeout(now)
	default:
		c.retransmitTimeout(now)
	}
}

// rto returns the present retransmission timeout.
func (c *Conn) rto() time.Duration { return c.rtt.RTO(c.cfg.MinRTO, c.cfg.MaxRTO) }

// armRetransmit starts the retransmission timer anew. A user timeout that ends earlier has its say.
func (c *Conn) armRetransmit(now clock.Time) {
	if c.state == StateSynReceived {
		// The SYN-ACK has the timer: nothing else is sent again before it is acknowledged (RFC 7413 section 4.2.2).
		c.timers.rtx = min(c.timers.rtx, c.boundOpening())
		return
	}
	c.timers.rtx = now.Add(c.rto())
	if u := c.cfg.UserTimeout; u != 0 {
		c.timers.rtx = min(c.timers.rtx, max(c.snd.progressAt.Add(u), now))
	}
}

// gaveUp reports whether the peer was silent for too long: the bound R2 of RFC 9293 section 3.8.3, or the user timeout.
func (c *Conn) gaveUp(now clock.Time) bool {
	if u := c.cfg.UserTimeout; u != 0 && now.Sub(c.snd.progressAt) >= u {
		return true
	}
	return int(c.snd.retries) >= c.cfg.Retries
}

// silent ends the connection because its peer is silent.
func (c *Conn) silent() {
	if c.soft != reasonNone {
		c.finish(c.soft)
		return
	}
	c.finish(reasonTimeout)
}

// settle starts the persist timer if there is something to send, nothing outstanding whose acknowledgment would let it out, and
// nothing that Output would send now.
func (c *Conn) settle(now clock.Time) {
	if c.timers.rtx != clock.Never || c.snd.unsent == frame.None || !c.maySendData() || c.outstanding() != 0 {
		return
	}
	if c.sendable() != 0 {
		return
	}
	if !c.is(flagProbing) {
		c.snd.progressAt = now
	}
	wait := c.rto()
	if c.is(flagCork) && c.snd.wnd != 0 {
		wait = corkTime
	}
	c.timers.rtx = now.Add(wait)
}

// starved notes that the pool had no frame for the connection.
func (c *Conn) starved() {
	c.core.Stats.WriteStarved++
	if x := c.needRare(); x.pool == clock.Never {
		x.pool = c.core.poolTurn(c.core.now)
	}
}

// poolTurn returns when a connection may look again whether there are frames.
func (k *Core) poolTurn(now clock.Time) clock.Time {
	at := min(max(now.Add(poolRetry), k.poolNext), now.Add(poolPatience))
	k.poolNext = at.Add(poolSpacing)
	return at
}

// poolExpired looks whether there are frames again.
func (c *Conn) poolExpired(now clock.Time) {
	c.clear(flagStarved)
	if !c.is(flagWantWrite) || c.state == StateClosed {
		return
	}
	if !c.core.mayHold(c.snd.queue.Len()) {
		c.needRare().pool = c.core.poolTurn(now)
		return
	}
	c.notifyWritable()
}

// armSlow starts the timer that belongs to the state.
func (c *Conn) armSlow(now clock.Time) {
	t := &c.timers
	t.slow = clock.Never
	switch c.state {
	case StateClosed, StateListen:
		return
	case StateSynSent, StateSynReceived: // With Fast Open there may be something to deliver already.
		if c.is(flagAppClosed) && c.cfg.Linger > 0 {
			t.slow = now.Add(c.cfg.Linger)
		}
		return
	case StateTimeWait:
		t.slow = now.Add(c.cfg.TimeWait)
		return
	case StateFinWait2:
		if c.is(flagAppClosed) {
			t.slow = now.Add(c.cfg.FinWait2)
			return
		}
	case StateFinWait1, StateClosing, StateLastAck:
		if c.is(flagAppClosed) && c.cfg.Linger > 0 {
			t.slow = now.Add(c.cfg.Linger)
			return
		}
	}
	if idle := c.keepIdle(); idle > 0 {
		t.slow = now.Add(idle)
	}
}

// slowExpired is called when the state's timer expired.
func (c *Conn) slowExpired(now clock.Time) {
	switch c.state {
	case StateTimeWait:
		c.finish(reasonNone)
		return
	case StateFinWait2:
		if c.is(flagAppClosed) {
			c.finish(reasonNone)
			return
		}
	case StateSynSent, StateSynReceived, StateFinWait1, StateClosing, StateLastAck:
		if c.is(flagAppClosed) && c.cfg.Linger > 0 {
			c.abort(reasonTimeout)
			return
		}
	}
	c.keepAliveTimeout(now)
}

package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// checkACKField is the fifth check: RFC 9293 section 3.10.7.4, with the limits of RFC 5961 section 5.2 on how old an ACK may be.
func (c *Conn) checkACKField(s *Segment, now clock.Time) bool {
	st := &c.core.Stats
	if s.Flags&FlagACK == 0 {
		st.DropNoFlags++
		return false
	}
	completes := c.state == StateSynReceived
	if completes && !c.synReceivedACK(s, now) {
		return false
	}
	// Counted from SND.UNA without a sign: a number that is half the sequence space away is neither before it nor behind it.
	acked := uint32(s.Ack - c.snd.una)
	if acked > c.outstanding() {
		switch {
		case uint32(c.snd.una-s.Ack) <= c.snd.maxWnd:
			return true // An old ACK that was overtaken: its payload counts, and nothing else.
		case s.Ack.Greater(c.snd.nxt):
			st.DropBadACK++
		default:
			st.DropOldACK++
		}
		c.challenge(now)
		return false
	}
	duplicate := !completes && c.isDuplicateACK(s)
	missing, una := c.unarrived(), c.snd.una
	c.beginSample()
	c.updateWindow(s, now)
	if acked != 0 {
		c.newACK(s, now)
	}
	if c.state != StateClosed && (duplicate || s.NumSACK != 0 || c.snd.troubled()) {
		c.repair(s, acked, missing, duplicate, now)
	}
	if s.Flags&FlagECE != 0 {
		c.echoed(s, una, now)
	}
	if c.is(flagForwarded) {
		c.forwardAnswered(s, acked, duplicate)
	}
	if c.snd.probe != probeNone {
		c.probeAnswered(s, acked, now)
	}
	c.sampleRate(missing-min(missing, c.unarrived()), now)
	return c.state != StateClosed
}

// isDuplicateACK is RFC 5681 section 2's definition: it acknowledges and offers what the last one did, carries nothing, and
// something is outstanding.
func (c *Conn) isDuplicateACK(s *Segment) bool {
	if s.Ack != c.snd.una || s.PayloadLen != 0 || s.Flags&FlagFIN != 0 || c.outstanding() == 0 {
		return false
	}
	if uint32(s.Window)<<c.snd.scale != c.snd.wnd || c.snd.wnd == 0 {
		return false
	}
	c.core.Stats.DuplicateACKsIn++
	return true
}

// updateWindow takes the peer's window from a segment that is newer than the one it was last taken from (SND.WL1, SND.WL2). One that
// acknowledges more is newer too, wherever its own data is: it may fill a hole. The window that it would leave in place counts from
// SND.UNA, which it moves, and would then reach beyond all that the peer has offered.
func (c *Conn) updateWindow(s *Segment, now clock.Time) {
	d := &c.snd
	if c.is(flagProbing) {
		d.retries = 0 // It answers, so it lives (RFC 9293 section 3.8.6.1).
	}
	switch {
	case d.wl1.Less(s.Seq):
		d.wl1 = s.Seq
	case s.Ack.Greater(d.una), d.wl1 == s.Seq && d.wl2.LessEq(s.Ack):
	default:
		return
	}
	old := d.wnd
	d.wnd, d.wl2 = uint32(s.Window)<<d.scale, s.Ack
	d.maxWnd = max(d.maxWnd, d.wnd)
	if d.wnd > old && (c.is(flagProbing) || old == 0) {
		c.windowOpened(s.Ack, now)
	}
}

// newACK takes an ACK of data that was outstanding.
func (c *Conn) newACK(s *Segment, now clock.Time) {
	d := &c.snd
	if d.recovery != recoveryNone {
		c.detectSpurious(s)
	}
	a := Ack{Now: now, Acked: uint32(s.Ack - d.una), ACKs: c.core.sample.acks, InRecovery: d.recovery == recoveryFast}
	a.Marked = s.Flags&FlagECE != 0 && c.is(flagECT)
	troubled := d.troubled()
	if troubled && c.is(flagSACK) {
		c.deliveredTo(s, now)
	}
	sacked := d.sacked
	sentAt, resentAt := c.releaseAcked(s.Ack)
	d.una = s.Ack
	d.retries = 0
	d.progressAt = now
	c.soft = reasonNone // Whatever it was, the peer was reached after it.
	c.rtt.ResetBackoff()
	if sentAt != 0 {
		a.RTT = max(now.Sub(sentAt), 1)
	}
	c.sample(a.RTT, resentAt, s, now)
	if d.troubled() {
		again := d.recovery == recoveryRTO
		c.recovered(a.Acked)
		if again {
			a.Acked = c.ackedAgain(a.Acked, sacked-d.sacked)
		}
	}
	if troubled || c.outstanding() == 0 {
		c.timers.loss = clock.Never // What is still missing starts it anew.
	}
	if c.outstanding() == 0 {
		c.timers.rtx = clock.Never
	} else {
		c.armRetransmit(now)
		c.armProbe(now)
	}
	a.SRTT, a.Una, a.Nxt, a.InFlight = c.rtt.SRTT(), d.una, d.nxt, c.inFlight()
	c.cc.OnAck(&a)
	if c.is(flagWantWrite) {
		c.maybeWritable()
	}
	if c.is(flagFINSent) && d.una == d.end+1 {
		c.finAcked(now)
	}
}

// ackedAgain returns how much of what an ACK acknowledges after a timeout lets the window grow, of which so many bytes were SACKed
// before: only what has left the network since. Where that is not known it is at most two segments (the limit L of RFC 3465), or the
// ACK of one that was sent again, behind which the peer had kept all others, would be answered with a burst; and one while F-RTO has not
// decided, for two segments of new data.
func (c *Conn) ackedAgain(acked, sacked uint32) uint32 {
	switch mss := uint32(c.snd.mss); {
	case c.is(flagForwarded):
		return min(acked, mss)
	case !c.is(flagSACK):
		return min(acked, 2*mss)
	}
	return acked - min(acked, sacked)
}

// releaseAcked gives back the frames whose payload is acknowledged, and cuts off the part that is of the one that is half
// acknowledged. It returns when the last of the frames was sent, but 0 if any of them was sent twice: by Karn's rule, and because
// those behind it arrived long before it did. It also returns when the first of those that were sent again was.
func (c *Conn) releaseAcked(ack Seq) (sentAt, resentAt clock.Time) {
	p, d := c.core.Pool, &c.snd
	again := false
	var last *frame.Meta // of those sent once, which are in the order of sending
	for f := d.queue.Front(); f != d.unsent; f = d.queue.Front() {
		m := p.Meta(f)
		n := ack.Sub(Seq(m.Seq))
		if n <= 0 {
			break
		}
		cut := min(uint32(n), m.Len)
		if m.Flags&(metaSACKed|metaLost|metaResent|metaProbe) != 0 {
			c.forget(f, m, cut)
		}
		if cut < m.Len {
			m.Seq, m.Off, m.Len, m.Sum = m.Seq+cut, m.Off+cut, m.Len-cut, 0
			break
		}
		if m.Sends > 1 || m.Flags&metaSACKed != 0 {
			again = true
			if m.Sends > 1 && resentAt == 0 {
				resentAt = m.SentAt
			}
			if m.Flags&metaSACKed == 0 {
				c.core.sample.noteArrived(m)
			}
		} else {
			last = m
		}
		sentAt = m.SentAt
		if c.hasRare() {
			c.rare().unhint(f)
		}
		d.queue.PopFront(p)
		p.Release(f)
	}
	if last != nil {
		c.core.sample.noteArrived(last)
	}
	if again {
		return 0, resentAt
	}
	return sentAt, 0
}

// sample gives a measurement to the round-trip estimate, one in each round trip (RFC 6298 section 3): measured, or if nothing was
// sent just once, what the timestamps say. They say nothing if they are older than what was sent again at resentAt: the peer echoes
// them too when the first transmission had arrived and its ACK was lost, and what would be measured is the timeout.
func (c *Conn) sample(measured time.Duration, resentAt clock.Time, s *Segment, now clock.Time) {
	d := &c.snd
	if d.una.LessEq(c.rtt.next) {
		return
	}
	if measured != 0 {
		c.rtt.Sample(measured, 0, now)
	} else if !c.is(flagTS) || (resentAt != 0 && tsLess(s.TSEcr, c.tsValue(resentAt))) || !c.sampleTimestamp(s, now) {
		return
	}
	c.measuredTo(d.nxt)
}

// sampleTimestamp measures by the echoed timestamp, to a millisecond (RFC 7323 section 4.1).
func (c *Conn) sampleTimestamp(s *Segment, now clock.Time) bool {
	ms := c.tsValue(now) - s.TSEcr
	if !s.HasTS || s.TSEcr == 0 || ms > 1<<22 {
		return false
	}
	c.rtt.Sample(max(time.Duration(ms)*time.Millisecond, time.Millisecond), 0, now)
	return true
}

// shrinkMSS is called when an ACK has waited for company in vain: the peer's segments may have become smaller, by the path's MTU, and a
// window of a few of them is less than two of the old size. If not, the next full one corrects the estimate.
func (r *receiver) shrinkMSS() {
	r.mss = uint16(min(uint32(r.mss), max(uint32(r.nxt-r.acked)/2, DefaultMSS)))
}

// scheduleACK decides, after a batch of segments, whether what it brought is acknowledged at once: every second full segment (RFC
// 9293 section 3.8.6.3); the rest waits, for data to go with or for the timer.
func (c *Conn) scheduleACK(now clock.Time) {
	r := &c.rcv
	if r.nxt == r.acked || c.due&dueACK != 0 || c.state == StateClosed {
		return
	}
	if r.quick != 0 || c.cfg.DelayedACK < 0 || uint32(r.nxt-r.acked) >= 2*uint32(r.mss) {
		c.due |= dueACK
		r.quick -= min(r.quick, 1)
		return
	}
	if c.timers.ack == clock.Never {
		c.timers.ack = now.Add(c.cfg.DelayedACK)
	}
}

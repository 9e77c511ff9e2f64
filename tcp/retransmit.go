package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// recovery says what repairs a loss at present.
type recovery uint8

const (
	recoveryNone recovery = iota
	recoveryFast          // fast recovery (RFC 5681 section 3.2, RFC 6582, RFC 6675)
	recoveryRTO           // what was outstanding at a timeout is sent again, from the first on, until all of it is acknowledged
)

// duplicateThreshold is how many duplicate ACKs, or segments' worth of SACKed bytes, mean a loss (RFC 5681, RFC 6675: DupThresh).
const duplicateThreshold = 3

// troubled reports whether something of what is outstanding is known to be lost or to have arrived out of order.
func (d *sender) troubled() bool {
	return d.sacked|d.lost|uint32(d.dupACKs)|uint32(d.recovery) != 0
}

// repair looks for losses after an ACK that acknowledged so many bytes, and begins or goes on with a recovery. Before the ACK,
// missing bytes were not known to have arrived.
func (c *Conn) repair(s *Segment, acked, missing uint32, duplicate bool, now clock.Time) {
	d := &c.snd
	lossless, probing := true, d.path.probe
	if c.is(flagSACK) {
		if s.NumSACK != 0 {
			if c.markSACKed(s, now) && acked == 0 && c.is(flagForwarded) {
				c.forwardSpurious()
			}
		}
		lossless = !c.detectLost(now)
	} else if duplicate {
		c.countDuplicate()
	}
	if d.recovery == recoveryNone {
		if d.lost == 0 || probing != 0 && c.probeLost(probing, now) {
			return
		}
		c.enterRecovery(missing, now)
		acked = 0
	}
	if c.is(flagSACK) {
		if arrived := missing - min(missing, c.unarrived()); arrived != 0 && d.recovery == recoveryFast {
			c.proportion(arrived, acked != 0 && lossless)
		}
		return
	}
	if acked == 0 || c.is(flagForwarded) {
		return
	}
	// A partial ACK: what is now the first has been missing for as long as what was repaired (RFC 6582 section 3.2).
	if f := d.queue.Front(); f != d.unsent && c.core.Pool.Meta(f).Flags&(metaResent|metaSACKed) == 0 {
		c.markSegmentLost(f)
		c.set(flagForceLost)
	}
}

// countDuplicate counts a duplicate ACK of a peer without SACK: another segment left the network, which one is not known.
func (c *Conn) countDuplicate() {
	d := &c.snd
	if d.dupACKs < 255 {
		d.dupACKs++
	}
	// All but the first may have arrived.
	most := c.outstanding() - d.lost
	most -= min(most, uint32(d.mss))
	d.sacked = min(d.sacked+uint32(d.mss), most)
	// RFC 6582 section 3.2, step 2: duplicates of what an earlier recovery sent again do not begin a new one. That one may be so long
	// ago that its number means nothing any more.
	if d.dupACKs >= duplicateThreshold && d.recovery == recoveryNone && !c.recoveredTo() {
		if f := d.queue.Front(); f != d.unsent {
			c.markSegmentLost(f)
		}
	}
}

// recoveredTo reports whether what is outstanding is where a recovery has ended.
func (c *Conn) recoveredTo() bool {
	return c.hasRare() && uint32(c.rare().recover-c.snd.una) <= c.outstanding()
}

// enterRecovery begins a fast recovery. The first lost segment is sent again whatever the window.
// Before the ACK that tells of the loss, missing bytes were not known to have arrived.
func (c *Conn) enterRecovery(missing uint32, now clock.Time) {
	d := &c.snd
	x := c.needRare()
	d.recovery, x.recover = recoveryFast, d.nxt
	d.probe = probeNone // What it asked is answered.
	reduced := c.reduceForLoss(c.outstanding(), now)
	x.prr, x.flight = prr{}, missing
	c.proportion(0, false)
	if reduced {
		c.beginUndo()
	}
	c.set(flagForceLost)
	c.core.Stats.FastRecoveries++
}

// recovered takes the news that so many more bytes were acknowledged: the recovery is over, or without SACK, what the duplicate
// ACKs stood for is now acknowledged, but for the segment that was sent again.
func (c *Conn) recovered(acked uint32) {
	d := &c.snd
	d.dupACKs = 0
	if d.recovery != recoveryNone && d.una.GreaterEq(c.rare().recover) {
		d.recovery = recoveryNone
		if c.history().learnt.persist != 0 {
			c.needHistory().learnt.recovered()
		}
		c.clear(flagForceLost | flagUndoable | flagForward | flagForwarded)
		if !c.is(flagSACK) {
			d.sacked = 0
		}
	}
	if c.is(flagSACK) {
		return
	}
	if d.recovery == recoveryNone {
		d.sacked = 0
		return
	}
	d.sacked -= min(d.sacked, acked-min(acked, uint32(d.mss)))
	d.sacked = min(d.sacked, c.outstanding()-d.lost)
}

// markLost takes the frame as lost: it is to be sent again.
func (c *Conn) markLost(f frame.Index) {
	d, p := &c.snd, c.core.Pool
	m := p.Meta(f)
	if m.Flags&(metaSACKed|metaLost) != 0 {
		return
	}
	x := c.needRare()
	if m.Flags&metaResent != 0 {
		x.rack.remove(p, f)
	}
	if m.Flags&metaProbe != 0 {
		d.path.probe = 0
	}
	m.Flags = m.Flags&^(metaResent|metaProbe) | metaLost
	if d.lost == 0 || (x.lostHint != frame.None && Seq(m.Seq).Less(Seq(p.Meta(x.lostHint).Seq))) {
		x.lostHint = f
	}
	d.lost += m.Len
	c.core.sample.lost += m.Len
	if !c.is(flagSACK) {
		d.sacked = min(d.sacked, c.outstanding()-d.lost)
	}
}

// resend begins to send again what was marked as lost for a reason that says nothing about the path's capacity.
func (c *Conn) resend() {
	d := &c.snd
	if d.lost == 0 {
		return
	}
	if d.recovery == recoveryNone {
		d.recovery, c.needRare().recover, d.probe = recoveryRTO, d.nxt, probeNone
	}
	c.clear(flagForward | flagForwarded)
	c.set(flagForceLost)
}

// forget takes n bytes of a frame, or all of it, out of the counts of what is lost, SACKed or sent again, because they are
// acknowledged.
func (c *Conn) forget(f frame.Index, m *frame.Meta, n uint32) {
	d := &c.snd
	if m.Flags&metaLost != 0 {
		d.lost -= n
	}
	if m.Flags&metaSACKed != 0 {
		d.sacked -= n
	}
	if m.Flags&metaProbe != 0 {
		c.probeArrived(m) // even if the peer had no room for all of it
	}
	if n != m.Len {
		return
	}
	if m.Flags&(metaSACKed|metaFollows) == metaSACKed {
		c.rare().arrived--
	}
	if m.Flags&metaResent != 0 {
		c.rare().rack.remove(c.core.Pool, f)
	}
}

// unhint makes the hints not name a frame that is released.
func (x *rare) unhint(f frame.Index) {
	if f == x.lostHint {
		x.lostHint = frame.None
	}
	if f == x.sackHint {
		x.sackHint = frame.None
	}
	if f == x.rack.judged {
		x.rack.judged = frame.None
	}
}

// retransmitTimeout is RFC 6298 section 5, 5.4 to 5.7: what is outstanding counts as lost, and the first of it is sent again.
func (c *Conn) retransmitTimeout(now clock.Time) {
	if c.gaveUp(now) {
		c.silent()
		return
	}
	d, x := &c.snd, c.needRare()
	again := d.retries != 0 || (d.recovery == recoveryNone && c.reducedAfter(d.una+1))
	c.blackHole(now)
	c.cc.OnRTO(&Loss{Now: now, InFlight: c.outstanding(), Una: d.una, Nxt: d.nxt}, again)
	c.reduced()
	if d.retries < 255 {
		d.retries++
	}
	c.rtt.Backoff()
	front := d.queue.Front()
	d.dupACKs = 0
	c.markTimedOut(now)
	x.lostHint = front
	c.beginForward(again)
	if !again {
		c.beginUndo()
	}
	if d.probe == probeAgain && d.una.Less(x.recover) {
		c.clear(flagUndoable) // It may be the probe that arrives.
	}
	d.recovery, x.recover, d.probe = recoveryRTO, d.nxt, probeNone
	c.clear(flagTailProbe)
	c.timers.loss = clock.Never
	c.set(flagForceLost)
	if front == d.unsent && c.is(flagFINSent) {
		c.due |= dueFIN // The data arrived, its FIN did not.
	}
	c.core.Stats.Timeouts++
	c.needHistory().countTimeout()
	c.armRetransmit(now)
}

// markTimedOut takes as lost what is, after a timeout. That is the first segment, and of those behind it that are not known to have
// arrived, all that are overdue; what was sent a moment ago may still arrive (RFC 8985 section 6.3). Without SACK nothing would show that
// it does not, so all of it counts as lost. A peer whose SACK blocks said that the first segment has arrived has reneged, and is not
// believed about the others either (RFC 2018 section 8).
func (c *Conn) markTimedOut(now clock.Time) {
	d, p, x := &c.snd, c.core.Pool, c.needRare()
	front := d.queue.Front()
	reneged := front != d.unsent && p.Meta(front).Flags&metaSACKed != 0
	if reneged {
		c.core.Stats.SACKReneged++
		x.reported = [len(x.reported)]SACKBlock{}
	}
	overdue := now // what was sent until then is
	if c.is(flagSACK) {
		rtt := max(time.Duration(x.rack.rtt)*time.Microsecond, c.rtt.SRTT())
		overdue = now.Add(-rtt - c.reorderingWindow())
	} else {
		d.sacked = 0
	}
	first := true // the frame is of the first segment
	for f := front; f != d.unsent; f = p.Meta(f).Next {
		m := p.Meta(f)
		if reneged && m.Flags&metaSACKed != 0 {
			m.Flags &^= metaSACKed
			d.sacked -= m.Len
			if m.Flags&metaFollows == 0 {
				x.arrived--
			}
		}
		first = first && (f == front || m.Flags&metaFollows != 0)
		if first || m.SentAt <= overdue {
			c.markLost(f)
		}
	}
}

// mayResend reports whether the next lost segment may go out now.
func (c *Conn) mayResend() bool {
	if c.is(flagForceLost) {
		return true
	}
	if c.is(flagForwarded) {
		return false // New data, and what is acknowledged then, decide whether anything is lost.
	}
	d := &c.snd
	flight := c.inFlight()
	return d.wnd != 0 && (flight == 0 || flight+uint32(d.mss) <= c.sendWindow())
}

// nextLost returns the first frame that is lost.
func (c *Conn) nextLost() frame.Index {
	d, p := &c.snd, c.core.Pool
	f := c.rare().lostHint
	if f == frame.None {
		f = d.queue.Front()
	}
	for f != d.unsent && p.Meta(f).Flags&metaLost == 0 {
		f = p.Meta(f).Next
	}
	return f
}

// outLost sends the first lost segment again.
func (c *Conn) outLost(now clock.Time, o *OutSegment) bool {
	d, p := &c.snd, c.core.Pool
	f := c.nextLost()
	m := p.Meta(f)
	if m.Len > uint32(d.mss) {
		var ok bool
		if f, ok = c.split(f, uint32(d.mss)); !ok {
			return false
		}
		m = p.Meta(f)
	}
	x := c.needRare()
	more := uint8(0)
	if c.manyFrames() {
		more = c.lostRun(f)
	}
	for i, g, gm := uint8(0), f, m; ; i++ {
		c.stamp(gm, now)
		gm.Flags = gm.Flags&^metaLost | metaResent
		x.rack.append(p, g)
		d.lost -= gm.Len
		if i == more {
			break
		}
		g = gm.Next
		gm = p.Meta(g)
	}
	x.lostHint = f
	c.clear(flagForceLost)
	c.outPayload(now, o, f, m, more)
	x.prr.out += o.Len
	c.noteResent(o.TSVal)
	c.noteFIN(o)
	if f == d.queue.Front() || c.timers.rtx == clock.Never {
		c.armRetransmit(now)
	}
	c.core.Stats.Retransmits++
	c.core.Stats.RetransmitBytes += uint64(o.Len)
	h := c.needHistory()
	h.learnt.resent()
	h.resent++
	h.resentBytes += uint64(o.Len)
	return true
}

// LinkUp tells that the link beneath is back. What waits for a retransmission timer that was doubled while it was down goes at once,
// and the doublings and retries are taken back: those timeouts were the link's and say nothing about the path, as when a router says
// so (RFC 6069). It reports whether that is so; the connection has to be run then.
func (c *Conn) LinkUp(now clock.Time) bool {
	switch {
	case c.rtt.Backoffs() == 0 || c.timers.rtx == clock.Never || c.outstanding() == 0:
		return false
	case c.state == StateSynSent || c.state == StateSynReceived:
		return false // The SYN's timer is short.
	}
	c.rtt.ResetBackoff()
	c.snd.retries = min(c.snd.retries, 1)
	c.timers.rtx = now
	return true
}

package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// rack finds losses by time (RFC 8985): a segment is lost if one that was sent later has arrived, and it has had a round trip and
// the reordering window to arrive itself. A segment that was sent again is judged like any other, so the loss of a retransmission
// is found without a timeout.
//
// What is in flight lies in two orders of sending, and each is looked at from its oldest on, only as far as it was sent too
// long ago. Frames that were sent once are in the send queue; judged is where to go on, for a frame that was found lost, SACKed
// or sent again never comes back. Frames that were sent again are in a list of their own. So a frame costs a step once for each
// time that it is sent, whatever the ACKs are like.
//
// On a path without losses nothing here is touched: what is acknowledged in order was sent before all that is still outstanding.
type rack struct {
	sentAt clock.Time // RACK.xmit_ts: when the segment was sent that of all that have arrived was sent last
	end    Seq        // RACK.end_seq: where it ends
	top    Seq        // RACK.fack: the end of the highest segment that is known to have arrived
	rtt    uint32     // RACK.rtt: how long it took, µs, rounded down
	oldest frame.Index
	newest frame.Index // the list of what was sent again and is in flight
	judged frame.Index // of frames sent once, those before it are not in flight any more; frame.None: begin at the front

	dsackEnd Seq // RACK.dsack_round: SND.NXT when the window last grew because of a D-SACK
}

// learnt is what a connection has learnt of its path's reordering: part of its history.
type learnt struct {
	mult      uint8 // RACK.reo_wnd_mult: the window in quarters of the least round trip
	persist   uint8 // RACK.reo_wnd_persist: recoveries until it is one quarter again
	reordered bool  // RACK.reordering_seen
	again     uint8 // segments sent again that no D-SACK has reported as superfluous, at most 255
}

// forgetSent is called when nothing is in the send queue any more.
func (r *rack) forgetSent() { r.oldest, r.newest, r.judged = frame.None, frame.None, frame.None }

// append puts a frame that is sent again now at the end of the list.
func (r *rack) append(p *frame.Pool, f frame.Index) {
	m := p.Meta(f)
	m.Older, m.Newer = r.newest, frame.None
	if r.newest == frame.None {
		r.oldest = f
	} else {
		p.Meta(r.newest).Newer = f
	}
	r.newest = f
}

// remove takes a frame out of the list.
func (r *rack) remove(p *frame.Pool, f frame.Index) {
	m := p.Meta(f)
	if m.Older == frame.None {
		r.oldest = m.Newer
	} else {
		p.Meta(m.Older).Newer = m.Newer
	}
	if m.Newer == frame.None {
		r.newest = m.Older
	} else {
		p.Meta(m.Newer).Older = m.Older
	}
}

// sentBefore reports whether the segment was sent before the last one that has arrived (RFC 8985 section 6.1, RACK_sent_after).
func (r *rack) sentBefore(m *frame.Meta) bool {
	return m.SentAt < r.sentAt || (m.SentAt == r.sentAt && Seq(m.Seq).Add(m.Len).Less(r.end))
}

// delivered takes the news that a segment that ends at end has arrived (RFC 8985 section 6.2, steps 1 to 3).
func (c *Conn) delivered(s *Segment, m *frame.Meta, end Seq, now clock.Time) {
	d, r := &c.snd, &c.needRare().rack
	took := now.Sub(m.SentAt)
	if m.Sends > 1 {
		// It may be the first one that arrived and not the last: by the timestamp, or because it would have been too quick. The
		// timestamp tells only of what the ACK covers; after a hole it is that of a segment before the hole, whatever came since (RFC
		// 7323 section 4.3).
		old := c.is(flagTS) && s.HasTS && end.LessEq(s.Ack) && tsLess(s.TSEcr, c.tsValue(m.SentAt))
		if old || took < c.rtt.Min() {
			return
		}
	} else if d.sacked != 0 && end.Less(r.top) {
		c.needHistory().learnt.reordered = true
	}
	if m.SentAt > r.sentAt || (m.SentAt == r.sentAt && end.Greater(r.end)) {
		r.sentAt, r.end = m.SentAt, end
		r.rtt = uint32(min(took/time.Microsecond, 1<<32-1))
	}
}

// deliveredTo takes the news that all before the segment's ACK has arrived. It is called before that is released.
func (c *Conn) deliveredTo(s *Segment, now clock.Time) {
	d, p, x := &c.snd, c.core.Pool, c.needRare()
	for f := d.queue.Front(); f != d.unsent; f = p.Meta(f).Next {
		m := p.Meta(f)
		end := Seq(m.Seq).Add(m.Len)
		if end.Greater(s.Ack) {
			break
		}
		if m.Flags&metaSACKed == 0 {
			c.delivered(s, m, end, now)
		}
	}
	if s.Ack.Greater(x.rack.top) || d.sacked == 0 {
		x.rack.top = s.Ack
	}
}

// reorderingWindow returns how much longer than a round trip a segment may take that others have overtaken (RFC 8985 section
// 6.2, step 4, RACK_update_reo_wnd). While no reordering was seen, three segments that have overtaken it are enough.
func (c *Conn) reorderingWindow() time.Duration {
	d := &c.snd
	if !c.history().learnt.reordered && (d.recovery != recoveryNone || c.rare().arrived >= duplicateThreshold) {
		return 0
	}
	return min(time.Duration(c.history().learnt.mult)*c.rtt.Min()/4, c.rtt.SRTT())
}

// detectLost takes as lost what was sent too long before the last segment that has arrived (RFC 8985 section 6.2, step 5). If
// something is not overdue yet, the timer is started for when it will be. It reports whether it found a loss.
func (c *Conn) detectLost(now clock.Time) (found bool) {
	d, p, r := &c.snd, c.core.Pool, &c.needRare().rack
	limit := time.Duration(r.rtt)*time.Microsecond + c.reorderingWindow()
	c.timers.loss = clock.Never
	f := r.judged
	if f == frame.None {
		f = d.queue.Front()
	}
	for ; f != d.unsent; f = p.Meta(f).Next {
		r.judged = f
		m := p.Meta(f)
		if m.Flags&(metaSACKed|metaLost|metaResent) != 0 {
			continue
		}
		if c.undecided(m, limit, now) {
			break
		}
		c.markLost(f)
		found = true
	}
	for f = r.oldest; f != frame.None && !c.undecided(p.Meta(f), limit, now); f = r.oldest {
		c.markLost(f) // takes it out of the list
		c.core.Stats.LostRetransmits++
		found = true
	}
	return found
}

// undecided reports whether the segment is not lost yet as far as is known. If it may be with no other ACK, the timer is started:
// for the time when all is overdue that was sent before the last segment that has arrived.
func (c *Conn) undecided(m *frame.Meta, limit time.Duration, now clock.Time) bool {
	r := &c.rare().rack
	if !r.sentBefore(m) {
		return true
	}
	if m.SentAt.Add(limit) > now {
		c.timers.loss = r.sentAt.Add(limit)
		return true
	}
	return false
}

// reorderTimeout is called when the timer expired that detectLost started (RFC 8985 section 6.2, step 5).
func (c *Conn) reorderTimeout(now clock.Time) {
	d := &c.snd
	c.core.Stats.ReorderingTimeouts++
	probing := d.path.probe
	if !c.detectLost(now) || probing != 0 && c.probeLost(probing, now) {
		return
	}
	switch d.recovery {
	case recoveryNone:
		c.enterRecovery(c.unarrived(), now)
	case recoveryFast:
		c.proportion(0, false)
	}
}

// reorderPersist is how many recoveries a reordering window that D-SACKs widened lasts (RFC 8985 section 6.2, step 4).
const reorderPersist = 16

// widen is called when a D-SACK tells that something was sent again for nothing: the window was too small. That counts once in
// each round trip, and for no more D-SACKs than there were retransmissions: the network duplicates segments too, and a peer that makes
// reports up must not delay what it really loses.
func (c *Conn) widen() {
	if c.history().learnt.again == 0 {
		c.core.Stats.DSACKsIgnored++
		return
	}
	d, r, l := &c.snd, &c.needRare().rack, &c.needHistory().learnt
	l.again--
	if l.persist != 0 && d.una.LessEq(r.dsackEnd) {
		return
	}
	r.dsackEnd, l.persist = d.nxt, reorderPersist
	if l.mult < 255 {
		l.mult++
	}
}

// recovered is called at the end of each recovery.
func (l *learnt) recovered() {
	if l.persist == 0 {
		return
	}
	if l.persist--; l.persist == 0 {
		l.mult = 1
	}
}

// resent is called for each segment that is sent again.
func (l *learnt) resent() {
	if l.again < 255 {
		l.again++
	}
}

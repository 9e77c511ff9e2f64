package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Enqueue queues a received segment for Process: the frame's range is the TCP header with options and payload, parsed once without
// error, its checksum verified. If the segment goes on in others (MetaMore), these come with it. The connection takes over the caller's
// ownership.
func (c *Conn) Enqueue(f frame.Index) {
	if c.core.Pool.Meta(f).Flags&MetaMore != 0 {
		c.enqueuePieces(f)
		return
	}
	c.in.PushBack(c.core.Pool, f)
}

// Process uses queued segments, at most MaxSegmentsPerWake of them, and reports whether more are queued. What the segments have in
// common, the ACK and the events, is settled once at the end.
func (c *Conn) Process(now clock.Time) (more bool) {
	if c.in.Empty() {
		return false
	}
	k := c.core
	p := k.Pool
	var s Segment
	n, nxt := 0, c.rcv.nxt
	for n < MaxSegmentsPerWake {
		if c.is(flagECN) && (n != 0 || c.exact() && c.due&dueACK == 0) && c.echoTurns() {
			c.due |= dueACK // It goes out before the next call, if that is possible at all.
			break
		}
		f := c.in.PopFront(p)
		if f == frame.None {
			break
		}
		k.current = f
		rest := uint32(0)
		if p.Meta(f).Flags&MetaMore != 0 {
			rest = c.takePieces()
		}
		n++
		if Parse(p.Data(f), &s) != nil {
			k.Stats.DropMalformed++
		} else if s.PayloadLen += rest; c.predicted(&s) {
			more := c.takePredicted(f, &s, MaxSegmentsPerWake-n, now)
			k.Stats.FastPath += uint64(1 + more)
			n += more
		} else {
			c.segment(&s, now)
		}
		if k.current != frame.None {
			p.Release(k.current)
			k.current = frame.None
		}
		if !k.pieces.Empty() {
			k.pieces.ReleaseAll(p)
		}
	}
	k.Stats.SegmentsIn += uint64(n)
	c.segsIn += uint32(n)
	if c.rcv.nxt != nxt {
		c.count.dataAt = tick(now)
	}
	c.timers.received = now
	c.keepProbes = 0
	c.countBulk()
	c.tuneReceive(&s, now)
	c.scheduleACK(now)
	c.settle(now)
	c.mayRest()
	return !c.in.Empty()
}

// segment takes one segment through the checks of RFC 9293 section 3.10.7 in their order. Each check reports whether the next one
// is to follow.
func (c *Conn) segment(s *Segment, now clock.Time) {
	st := &c.core.Stats
	if s.BadOptions {
		st.BadOptions++
	}
	m := c.core.Pool.Meta(c.core.current)
	m.Off += uint32(s.HeaderLen)
	m.Len -= uint32(s.HeaderLen)
	switch c.state {
	case StateClosed, StateListen:
		st.DropClosed++
		return
	case StateSynSent:
		c.synSent(s, now)
		return
	case StateSynReceived:
		if c.earlySYN(s, now) {
			return
		}
		if c.isSimultaneousSYNACK(s) {
			if c.synReceivedACK(s, now) {
				c.synData(s, now)
			}
			return
		}
	}
	if !c.checkTimestamp(s, now) || !c.checkSequence(s, now) || !c.checkRST(s, now) || !c.checkSYN(s, now) {
		return
	}
	c.updateTimestamp(s, now)
	if !c.checkACKField(s, now) {
		return
	}
	c.urg(s)
	c.text(s)
	c.fin(s, now)
}

// idleTimestamp is how long TS.Recent is valid on a connection that is silent: 24 days (RFC 7323 section 5.5).
const idleTimestamp = 24 * 24 * 3600 * 1e9 >> secondShift

// checkTimestamp is PAWS (RFC 7323 section 5.3, R1): a segment with an older timestamp than the last one is an old duplicate. A
// reset is not subject to it.
func (c *Conn) checkTimestamp(s *Segment, now clock.Time) bool {
	if !c.is(flagTS) || s.Flags&FlagRST != 0 {
		return true
	}
	if !s.HasTS {
		c.core.Stats.DropNoTimestamp++ // section 3.2: silently
		return false
	}
	if !tsLess(s.TSVal, c.ts.recent) || seconds(now)-c.ts.recentAt > idleTimestamp {
		return true
	}
	c.core.Stats.DropOldTimestamp++
	if old := c.rcv.nxt.Sub(s.Seq); old > 0 && s.Flags&FlagSYN == 0 {
		// Held back until it was sent again and that had arrived: the peer is to learn that it was no loss, as of any duplicate.
		c.noteDuplicate(s.Seq, s.Seq.Add(min(uint32(old), s.PayloadLen)))
	}
	c.answerOutside(s, now)
	return false
}

// updateTimestamp remembers the timestamp to echo: that of the segment that covers the last byte that was acknowledged, so that a
// delayed ACK is measured with its delay (RFC 7323 section 4.3).
func (c *Conn) updateTimestamp(s *Segment, now clock.Time) {
	if !c.is(flagTS) || !s.HasTS || s.Seq.Greater(c.rcv.acked) {
		return
	}
	if !tsLess(s.TSVal, c.ts.recent) || seconds(now)-c.ts.recentAt > idleTimestamp {
		c.ts.recent, c.ts.recentAt = s.TSVal, seconds(now)
	}
}

// checkSequence is the first check: some of the segment must be in the receive window. One that is not is answered with an ACK,
// unless it is a reset (RFC 9293 section 3.10.7.4, first).
func (c *Conn) checkSequence(s *Segment, now clock.Time) bool {
	r, st := &c.rcv, &c.core.Stats
	wnd := uint32(r.adv - r.nxt)
	if n := s.Len(); n == 0 {
		if s.Seq == r.nxt || s.Seq.InWindow(r.nxt, wnd) {
			return true
		}
	} else if wnd != 0 {
		if s.Seq.InWindow(r.nxt, wnd) || s.Seq.Add(n-1).InWindow(r.nxt, wnd) {
			return true
		}
		if s.Seq.Less(r.nxt) && s.Seq.Add(n).Greater(r.adv) {
			return true // It covers the whole window.
		}
	} else if s.Seq == r.nxt {
		// The window is closed, but ACK, URG and RST are still taken of what is in sequence. So is a FIN, which needs no room.
		if s.PayloadLen != 0 {
			st.DropZeroWindow++
			s.PayloadLen = 0
			s.Flags &^= FlagFIN
			c.due |= dueACK
		}
		return true
	}
	if s.Flags&FlagRST != 0 {
		st.DropResetOutside++
		return false
	}
	if s.Seq.Less(r.nxt) {
		st.DropDuplicate++
		c.noteDuplicate(s.Seq, s.Seq.Add(min(uint32(r.nxt.Sub(s.Seq)), s.PayloadLen))) // What is beyond finds the window closed.
		if c.state == StateTimeWait && s.Flags&FlagFIN != 0 {
			c.armSlow(now) // The peer did not get the ACK of its FIN: the wait begins anew.
		}
		c.answerOutside(s, now)
		return c.blocked() && bareACK(s, r.nxt)
	}
	st.DropOutsideWindow++
	c.answerOutside(s, now)
	return false
}

// blocked reports whether what was sent is at or beyond the edge of the peer's window, as after a probe of a closed one.
func (c *Conn) blocked() bool {
	d := &c.snd
	return d.nxt != d.una && d.una.Add(d.wnd).LessEq(d.nxt)
}

// bareACK leaves of a segment that ends before nxt nothing but its ACK, and reports whether it has one and is not too old. An end that has
// sent beyond the edge of the window acknowledges from there (ackSeq), which is old news to a peer that took what was sent. That does
// no harm unless the peer is in the same position: then neither would take the other's ACKs, and the windows in them, ever again.
func bareACK(s *Segment, nxt Seq) bool {
	if s.Flags&(FlagACK|FlagSYN) != FlagACK || s.Seq.Add(s.Len()).Greater(nxt) || uint32(nxt-s.Seq) > 1<<16 {
		return false
	}
	s.PayloadLen, s.Flags = 0, s.Flags&(FlagACK|FlagECE)
	return true
}

// outsideInterval is how often a connection answers segments that may themselves be answers: Linux's bound. Keep-alives and probes
// of a closed window come at longer intervals.
const outsideInterval = 500 * time.Millisecond

// answerOutside has a segment outside the window, or with an old timestamp, answered with an ACK. Two ends that each take the
// other's ACKs to be outside would answer each other for ever, so of those without data only some are answered, and of SYNs, which
// anybody may forge (RFC 5961 section 7). One with data is no answer, and its sender waits for the ACK.
func (c *Conn) answerOutside(s *Segment, now clock.Time) {
	if s.Len() != 0 && s.Flags&FlagSYN == 0 || c.mayAnswer(now) {
		c.due |= dueACK
	}
}

// mayAnswer reports whether a segment that may itself be an answer may be answered at this time, and notes that it is.
func (c *Conn) mayAnswer(now clock.Time) bool {
	if t := rateTicks(now) | 1; c.outside != 0 && fromTicks(t-c.outside+2) < outsideInterval { // to two ticks
		c.core.Stats.ChallengeACKsLimited++
		return false
	}
	c.outside = rateTicks(now) | 1
	return true
}

// checkRST is the second check. A reset must be at exactly the next sequence number; elsewhere in the window it is answered with a
// challenge that tells an honest peer the number (RFC 5961 section 3.2).
func (c *Conn) checkRST(s *Segment, now clock.Time) bool {
	if s.Flags&FlagRST == 0 {
		return true
	}
	st := &c.core.Stats
	if s.Seq != c.rcv.nxt {
		st.DropResetChallenged++
		c.challenge(now)
		return false
	}
	st.ResetsIn++
	switch c.state {
	case StateSynReceived:
		if c.is(flagEarly) {
			c.finish(reasonReset)
		} else {
			c.finish(reasonRefused)
		}
	case StateTimeWait:
		// RFC 1337: a reset must not end the wait, or old segments could reach a new connection.
		st.DropUnexpectedInTime++
	case StateClosing, StateLastAck:
		c.finish(reasonNone) // Everything was received and the FIN was sent: nothing is lost that the peer wanted.
	default:
		c.finish(reasonReset)
	}
	return false
}

// checkSYN is the fourth check. A SYN on a synchronized connection is answered with a challenge, whatever its number: a peer that
// has restarted answers that with the right reset (RFC 5961 section 4.2).
func (c *Conn) checkSYN(s *Segment, now clock.Time) bool {
	if s.Flags&FlagSYN == 0 {
		return true
	}
	c.core.Stats.DropSYN++
	c.challenge(now)
	return false
}

// challenge sends a challenge ACK, within the limits of the connection and of all connections together (RFC 5961 section 7).
func (c *Conn) challenge(now clock.Time) {
	if c.mayAnswer(now) && c.core.challenge(now) {
		c.due |= dueACK
	}
}

// fin is the eighth check: the FIN counts once everything before it was received.
func (c *Conn) fin(s *Segment, now clock.Time) {
	if s.Flags&FlagFIN != 0 && !c.is(flagPeerFIN) && c.state != StateClosed {
		c.set(flagPeerFIN)
		c.rcv.fin = s.Seq.Add(s.PayloadLen)
	}
	if !c.is(flagPeerFIN) {
		return
	}
	if c.rcv.nxt != c.rcv.fin {
		if s.Flags&FlagFIN != 0 && s.PayloadLen == 0 && s.Seq.Greater(c.rcv.nxt) && c.rcv.dupACKs < 255 {
			c.rcv.dupACKs++ // Out of order like data behind a hole (RFC 5681 section 4.2), though there is nothing to keep.
		}
		return
	}
	switch c.state {
	case StateSynReceived, StateEstablished, StateFinWait1, StateFinWait2:
		c.finReceived(now)
	}
}

package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Connect begins an active open. The connection is SYN-SENT then, and its SYN is to be pulled. With Fast Open and a cookie of the
// server's, EventEstablished comes at once and the SYN goes with the first Write: see SendSYN. A nil cfg is the Core's.
func (c *Conn) Connect(k *Core, f Flow, cfg *Config, now clock.Time) {
	c.begin(k, f, cfg)
	c.setFlag(flagTS, !c.cfg.NoTimestamps)
	c.setFlag(flagSACK, !c.cfg.NoSACK)
	c.setFlag(flagECN|flagECT, c.cfg.ECN == ECNOn)
	c.ts.offset = k.Keys.TimestampOffset(f)
	c.rcv.scale = c.cfg.scale()
	c.startSequence(k.Keys.ISN(f, now))
	c.setMSS(DefaultMSS)
	c.snd.mss = c.core.evenMSS(c.cfg.MSS) // What is written before the answer comes is cut for the best case.
	c.setState(StateSynSent)
	c.due |= dueSYN
	c.timers.received = now
	c.timers.rtx = now.Add(initialRTO)
	k.Stats.ActiveOpens++
	if c.cfg.FastOpen&FastOpenClient != 0 {
		c.connectFast(now)
	}
}

// Accept begins a connection whose handshake a Listener has completed. It is ESTABLISHED then; the segment that completed the
// handshake is to be queued next, for it may carry data. With Fast Open it is in SYN-RECEIVED, and the segment is the SYN. A nil cfg is
// the Core's.
func (c *Conn) Accept(k *Core, a *Accepted, cfg *Config, now clock.Time) {
	c.begin(k, a.Flow, cfg)
	c.setFlag(flagTS, a.HasTS)
	c.setFlag(flagSACK, a.SACKPermitted)
	c.setFlag(flagSYNLost, a.SYNLost)
	c.setFlag(flagECN, a.ECN)
	c.setFlag(flagECT, a.ECN && !a.NoECT)
	c.ts = timestamps{recent: a.TSRecent, recentAt: seconds(now), offset: a.TSOffset}
	if a.HasWScale {
		c.rcv.scale, c.snd.scale = a.RcvWScale, a.SndWScale
	}
	c.startSequence(a.ISS)
	c.rcv.start(a.IRS)
	c.rcv.adv = c.rcv.nxt.Add(a.RcvWnd)
	if a.FastOpen {
		c.setMSS(a.MSS)
		c.acceptEarly(a, now)
		return
	}
	c.snd.una++
	// The window comes with the segment that follows. Until then WL1 and WL2 are such that it counts as newer.
	c.snd.wl1, c.snd.wl2 = c.rcv.nxt, c.snd.una
	c.setMSS(a.MSS)
	if a.SentAt != 0 {
		c.rtt.Sample(now.Sub(a.SentAt), 0, now)
	}
	k.Stats.PassiveOpens++
	c.established(now)
}

// startSequence takes the initial send sequence number. The SYN occupies it.
func (c *Conn) startSequence(iss Seq) {
	s := &c.snd
	s.iss, s.una, s.nxt, s.end = iss, iss, iss+1, iss+1
	c.rtt.next = iss
}

// established enters ESTABLISHED, or the state beyond it if the application closed meanwhile.
func (c *Conn) established(now clock.Time) {
	segments := c.cfg.InitialWindow
	if c.is(flagSYNLost) {
		segments = 1
		c.rtt.SYNLost()
	}
	if !c.is(flagEarly) || c.is(flagSYNLost) {
		c.initCongestion(segments)
		c.cc.Seed(uint32(c.snd.iss))
	}
	if c.is(flagEarly) {
		c.core.Stats.PassiveOpens++
	}
	c.setFlag(flagFastOpen, c.is(flagEarly) && c.rcv.nxt != c.rcv.irs+1)
	c.endEarly(false)
	c.snd.retries = 0
	c.snd.progressAt = now
	c.timers.rtx = clock.Never
	c.timers.received = now
	c.setState(StateEstablished)
	c.rcv.tuning.space = initialSegments * uint32(c.cfg.MSS)
	c.beginRound(now)
	c.core.Stats.Established++
	if !c.is(flagTold) {
		c.events |= EventEstablished
	}
	if c.outstanding() != 0 {
		c.armRetransmit(now) // data that went out before the handshake was complete
	}
	if c.is(flagECN) {
		c.core.Stats.ECNNegotiated++
	}
	if c.is(flagFINQueued) {
		c.closeWritten(now)
	}
	if c.timers.slow == clock.Never { // It runs if the application has closed already.
		c.armSlow(now)
	}
}

// synSent takes a segment in SYN-SENT: RFC 9293 section 3.10.7.3.
func (c *Conn) synSent(s *Segment, now clock.Time) {
	st := &c.core.Stats
	acked := s.Flags&FlagACK != 0
	if acked && !c.checkACK(s) {
		return
	}
	if s.Flags&FlagRST != 0 {
		if !acked {
			st.DropResetOutside++ // It could be anyone's.
			return
		}
		st.ResetsIn++
		if c.plainSYN() {
			c.giveUpFastOpen(now)
			return
		}
		c.finish(reasonRefused)
		return
	}
	if s.Flags&FlagSYN == 0 {
		st.DropUnsynchronized++
		return
	}
	c.negotiate(s, now)
	if !acked {
		// Both sides began at once: the SYN is answered, and sent again, with the ACK of the peer's.
		c.setState(StateSynReceived)
		c.due |= dueSYN
		c.clear(flagFastOpen)
		c.snd.retries = 0
		c.timers.rtx = now.Add(initialRTO)
		return
	}
	c.keepCookie(s, now)
	c.ackSYN(s, now)
	c.due |= dueACK
	c.established(now)
	c.fastOpenAnswered(s, now)
	c.synData(s, now)
}

// checkACK is the first check of the handshake: an ACK must acknowledge the SYN and nothing beyond. One that does not belongs to an
// older connection, which a reset makes the peer forget.
func (c *Conn) checkACK(s *Segment) bool {
	if s.Ack.Greater(c.snd.iss) && s.Ack.LessEq(c.snd.nxt) {
		return true
	}
	c.core.Stats.DropHandshakeACK++
	if s.Flags&FlagRST == 0 {
		c.needRare().resetSeq = s.Ack
		c.due |= dueBareReset
	}
	return false
}

// negotiate takes the peer's SYN: its sequence number and what the options agree on.
func (c *Conn) negotiate(s *Segment, now clock.Time) {
	promised := uint32(c.rcv.adv - c.rcv.nxt)
	c.rcv.start(s.Seq)
	c.rcv.adv = c.rcv.nxt.Add(promised)
	if !s.HasTS {
		c.clear(flagTS)
	}
	if !s.SACKPermitted {
		c.clear(flagSACK)
	}
	if c.is(flagTS) {
		c.ts.recent, c.ts.recentAt = s.TSVal, seconds(now)
	}
	// Windows are scaled if both sides said so (RFC 7323 section 2.2). The one in a SYN never is.
	if s.WScale < 0 || c.cfg.NoWindowScale {
		c.rcv.scale = 0
	} else {
		c.snd.scale = uint8(min(s.WScale, MaxWScale))
	}
	c.agreeECN(s)
	c.core.noteMSS(s)
	c.setMSS(peerMSS(s))
	c.snd.wnd, c.snd.maxWnd = uint32(s.Window), uint32(s.Window)
	c.snd.wl1, c.snd.wl2 = s.Seq, s.Ack
}

// ackSYN notes that the SYN was acknowledged. It gives a first measurement of the round trip if it was sent just once.
func (c *Conn) ackSYN(s *Segment, now clock.Time) {
	c.snd.una = c.snd.iss + 1
	c.snd.wl2 = s.Ack
	if !c.is(flagSYNLost) && c.snd.sentAt != 0 && (!c.is(flagEarly) || c.outstanding() == 0) {
		c.rtt.Sample(now.Sub(c.snd.sentAt), 0, now)
	} else if c.is(flagTS) && s.HasTS {
		c.sampleTimestamp(s, now)
	}
}

// synData takes what a SYN-ACK carries besides the SYN (RFC 9293 section 3.10.7.3: it may have data and a FIN).
func (c *Conn) synData(s *Segment, now clock.Time) {
	if s.PayloadLen == 0 && s.Flags&FlagFIN == 0 {
		return
	}
	s.Seq++
	s.Flags &^= FlagSYN
	c.text(s)
	c.fin(s, now)
}

// synReceivedACK takes the ACK in SYN-RECEIVED: RFC 9293 section 3.10.7.4, fifth. It reports whether to go on with the segment.
func (c *Conn) synReceivedACK(s *Segment, now clock.Time) bool {
	if !c.checkACK(s) {
		return false
	}
	c.ackSYN(s, now)
	c.snd.wnd = uint32(s.Window)
	if s.Flags&FlagSYN == 0 {
		c.snd.wnd <<= c.snd.scale
	} else {
		c.agreeECN(s)
	}
	c.snd.maxWnd = max(c.snd.maxWnd, c.snd.wnd)
	c.snd.wl1 = s.Seq
	c.due &^= dueSYN
	early := c.is(flagEarly)
	c.established(now)
	if !early {
		c.fastOpenAnswered(s, now)
	}
	return true
}

// isSimultaneousSYNACK reports whether the segment, in SYN-RECEIVED, is the other side's SYN-ACK of a simultaneous open. It begins
// before the receive window, so the sequence check would refuse it, although RFC 9293 figure 8 completes the handshake with it.
func (c *Conn) isSimultaneousSYNACK(s *Segment) bool {
	return !c.is(flagEarly) && s.Flags&(FlagSYN|FlagACK|FlagRST) == FlagSYN|FlagACK && s.Seq == c.rcv.irs &&
		s.Ack.Greater(c.snd.iss) && s.Ack.LessEq(c.snd.nxt)
}

// handshakeTimeout sends the SYN or SYN-ACK again, after one second, then two, four and so on, until the bound.
func (c *Conn) handshakeTimeout(now clock.Time) {
	limit := c.cfg.SYNRetries
	if c.is(flagEarly) {
		limit = synAckRetries
	}
	if int(c.snd.retries) >= limit || c.boundOpening() <= now {
		c.silent()
		return
	}
	c.snd.retries++
	c.giveUpFastOpen(now)
	c.set(flagSYNLost)
	c.plainSYN()
	c.due |= dueSYN
	c.timers.rtx = min(now.Add(min(initialRTO<<min(c.snd.retries, maxBackoff), max(c.cfg.MaxRTO, initialRTO))), c.boundOpening())
	c.core.Stats.SYNRetransmits++
	h := c.needHistory()
	h.resent++
	h.countTimeout()
}

// boundOpening returns when the user timeout ends the connection, if data went out before the end of the handshake.
func (c *Conn) boundOpening() clock.Time {
	if u := c.cfg.UserTimeout; u != 0 && c.snd.nxt != c.snd.iss+1 {
		return c.snd.progressAt.Add(u)
	}
	return clock.Never
}

// outSYN fills in the SYN, or the SYN-ACK of a simultaneous open.
func (c *Conn) outSYN(now clock.Time, o *OutSegment) {
	o.Seq, o.Flags, o.Frame = c.snd.iss, FlagSYN, frame.None
	o.MSS = c.core.announced(c.cfg.MSS)
	o.WScale = -1
	o.SACKPermitted = c.is(flagSACK)
	offered := !c.cfg.NoWindowScale
	if c.state == StateSynReceived {
		o.Flags |= FlagACK
		o.Ack = c.rcv.nxt
		offered = c.rcv.scale != 0 || c.snd.scale != 0
	}
	if offered {
		o.WScale = int8(c.rcv.scale)
	}
	if c.is(flagTS) {
		o.HasTS, o.TSVal = true, c.tsValue(now)
		if c.state == StateSynReceived {
			o.TSEcr = c.ts.recent
		}
	}
	switch {
	case !c.is(flagFastOpen):
	case c.is(flagEarly):
		cookie := c.core.fastOpenCookie(c.flow, 0)
		o.SetCookie(optFastOpen, cookie[:])
	default:
		c.outFastOpen(now, o)
	}
	c.synECN(o)
	o.Window = c.advertiseUnscaled()
	c.rcv.acked = c.rcv.nxt
	c.timers.ack = clock.Never
	if !c.is(flagEarly) || c.snd.sentAt == 0 {
		c.snd.sentAt = now // Of a SYN-ACK that a SYN asked for again, the round trip counts from the first.
	}
	c.due &^= dueSYN | dueACK // A SYN-ACK acknowledges, too.
}

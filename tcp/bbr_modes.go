package tcp

// bbrAggregation measures by how much ACKs come in lumps: how much more they acknowledge than the bandwidth lets expect since the lump
// began. So much more may be in flight, or the sender would be silent between two of them.
func (c *Congestion) bbrAggregation(s *Delivery, now uint32) {
	b := c.bbr()
	if s.Interval == 0 || s.Arrived == 0 {
		return
	}
	if b.is(bbrRoundStart) {
		if b.aggRound++; b.aggRound >= bbrWindow/2 {
			b.aggRound = 0
			b.flags ^= bbrAggSecond
			b.agg[b.half()] = 0
		}
	}
	expected := uint32(min(uint64(b.bw[0])*uint64(now-b.aggAt)/bbrSecond, maxCwnd))
	if b.aggAcked <= expected || b.aggAcked > maxCwnd {
		b.aggAcked, b.aggAt, expected = 0, now, 0
	}
	b.aggAcked += s.Arrived
	if extra := min(b.aggAcked-expected, c.cwnd); extra > b.agg[b.half()] {
		b.agg[b.half()] = extra
	}
}

// half returns the index of the present half of agg.
func (b *bbr) half() int {
	if b.is(bbrAggSecond) {
		return 1
	}
	return 0
}

// bbrCycle goes on to the next phase of PROBE_BW after a round-trip time; from the one that asks for more only once more is in flight, or
// was lost, and from the one that gives back already when there is nothing left to give.
func (c *Congestion) bbrCycle(s *Delivery, now uint32) {
	b := c.bbr()
	if b.mode != bbrProbeBW {
		return
	}
	over := now-b.cycleAt > b.minRTT
	switch gain := b.pacingGain(); {
	case gain > bbrOne:
		over = over && (s.Lost != 0 || s.Before >= c.bbrInflight(gain))
	case gain < bbrOne:
		over = over || s.Before <= c.bbrInflight(bbrOne)
	}
	if over {
		b.phase = (b.phase + 1) % bbrPhases
		b.cycleAt = now
	}
}

// checkFull looks whether STARTUP has filled the pipe: when the bandwidth has not grown by a quarter in three rounds.
func (b *bbr) checkFull(s *Delivery) {
	if b.is(bbrFull) || !b.is(bbrRoundStart) || s.Limited {
		return
	}
	if b.bw[0] >= b.full+b.full/4 {
		b.full, b.stalled = b.bw[0], 0
		return
	}
	b.stalled++
	b.set(bbrFull, b.stalled >= 3)
}

// bbrCheckDrain goes from STARTUP to DRAIN and on.
func (c *Congestion) bbrCheckDrain(s *Delivery, now uint32) {
	b := c.bbr()
	if b.mode == bbrStartup && b.is(bbrFull) {
		b.mode = bbrDrain
		c.ssthresh = c.bbrInflight(bbrOne)
	}
	if b.mode == bbrDrain && s.InFlight <= c.bbrInflight(bbrOne) {
		b.probeBandwidth(now)
	}
}

// probeBandwidth begins PROBE_BW in any phase but the one that gives back: at random, so that flows do not ask for more in step.
func (b *bbr) probeBandwidth(now uint32) {
	b.random = b.random*25173 + 13849
	b.mode, b.cycleAt = bbrProbeBW, now
	if b.phase = uint8(b.random >> 8 % (bbrPhases - 1)); b.phase != 0 {
		b.phase++
	}
}

// resume goes back to where PROBE_RTT came from.
func (b *bbr) resume(now uint32) {
	if b.is(bbrFull) {
		b.probeBandwidth(now)
	} else {
		b.mode = bbrStartup
	}
}

// bbrUpdateMinRTT feeds the filter of the round-trip time, and has PROBE_RTT empty the path when that was not measured anew for ten
// seconds: four segments in flight for 200 ms and a round. It reports whether that is what limits the sending.
func (c *Congestion) bbrUpdateMinRTT(s *Delivery, now uint32) bool {
	b := c.bbr()
	expired := now-b.minRTTAt > bbrMinRTT
	if s.RTT > 0 {
		if rtt := max(uint32(s.RTT>>rateShift), 1); b.minRTT == 0 || rtt < b.minRTT || expired {
			b.minRTT, b.minRTTAt = rtt, now
		}
	}
	if expired && !b.is(bbrResumed) && b.mode != bbrProbeRTT {
		c.bbrSave()
		b.mode = bbrProbeRTT
		b.set(bbrHeld|bbrHeldRound, false)
	}
	limited := b.mode == bbrProbeRTT
	if limited {
		c.bbrHold(s, now)
	}
	if s.Bytes != 0 {
		b.set(bbrResumed, false)
	}
	return limited
}

// bbrHold is PROBE_RTT's course.
func (c *Congestion) bbrHold(s *Delivery, now uint32) {
	b := c.bbr()
	if !b.is(bbrHeld) {
		if s.InFlight <= bbrFewest*c.mss {
			b.set(bbrHeld, true)
			b.probeEnd, b.roundEnd = now+bbrProbe, s.Delivered
		}
		return
	}
	if b.is(bbrRoundStart) {
		b.set(bbrHeldRound, true)
	}
	if b.is(bbrHeldRound) && int32(now-b.probeEnd) > 0 {
		b.minRTTAt = now
		c.cwnd = max(c.cwnd, b.prior)
		b.resume(now)
	}
}

// bbrSave remembers the window that a recovery or PROBE_RTT is going to replace for a while.
func (c *Congestion) bbrSave() {
	b := c.bbr()
	if b.is(bbrRecovering) || b.mode == bbrProbeRTT {
		b.prior = max(b.prior, c.cwnd)
	} else {
		b.prior = c.cwnd
	}
}

// bbrLoss begins a fast recovery: for a round as much is sent as arrives.
func (c *Congestion) bbrLoss() {
	c.bbrSave()
	c.bbr().set(bbrRecovering|bbrEntering, true)
}

// bbrRTO takes a timeout. What was known about the bandwidth stays, but STARTUP looks anew whether it grows.
func (c *Congestion) bbrRTO() {
	c.bbrSave()
	b := c.bbr()
	b.set(bbrRecovering, true)
	b.set(bbrEntering|bbrConserve, false)
	b.full = 0
}

// bbrSpurious takes a recovery back. The window it replaced comes back with the next ACK, for the recovery is over.
func (c *Congestion) bbrSpurious() {
	b := c.bbr()
	b.full, b.stalled = 0, 0
}

// bbrSetWindow moves the window towards what the model says, by no more than what arrives. A recovery has rules of its own.
func (c *Congestion) bbrSetWindow(s *Delivery) {
	b := c.bbr()
	if s.Arrived != 0 && !c.bbrRecover(s) {
		target := c.bbrInflight(b.cwndGain())
		if b.is(bbrFull) {
			extra := uint32(min(uint64(b.bw[0])*uint64(bbrAggLimit)/bbrSecond, maxCwnd))
			target += min(max(b.agg[0], b.agg[1]), extra)
			c.cwnd = min(c.cwnd+s.Arrived, target)
		} else if c.cwnd < target || s.Delivered < c.initial {
			c.cwnd += s.Arrived
		}
		c.cwnd = max(c.cwnd, bbrFewest*c.mss)
	}
	c.cwnd = min(c.cwnd, maxCwnd)
	if b.mode == bbrProbeRTT {
		c.cwnd = min(c.cwnd, bbrFewest*c.mss)
	}
}

// bbrRecover sets the window in a recovery and at its ends. It reports whether the window is set by that: in the first round of a
// recovery, in which as much is sent as arrives.
func (c *Congestion) bbrRecover(s *Delivery) bool {
	b := c.bbr()
	if s.Lost != 0 {
		c.cwnd = max(c.cwnd-min(c.cwnd, s.Lost), c.mss)
	}
	switch {
	case b.is(bbrEntering) && s.InRecovery:
		b.set(bbrEntering, false)
		b.set(bbrConserve, true)
		b.roundEnd = s.Delivered
		c.cwnd = max(s.InFlight+s.Arrived, c.mss)
	case b.is(bbrRecovering) && !s.InRecovery:
		b.set(bbrRecovering|bbrEntering|bbrConserve, false)
		c.cwnd = max(c.cwnd, b.prior)
	}
	if b.is(bbrConserve) {
		c.cwnd = max(c.cwnd, s.InFlight+s.Arrived)
		return true
	}
	return false
}

package tcp

import "github.com/xdpstack/xdpstack/frame"

// With timestamps, spurious recoveries are recognised by them (the Eifel detection algorithm, RFC 3522): the first ACK that advances
// in a recovery echoes a timestamp older than the first retransmission, so it is the original that arrived, late and
// not lost. The recovery is over then, nothing more is sent again, and the window is what it was before.

// beginUndo notes that the recovery that begins may turn out to be spurious, from when the first segment is sent again.
func (c *Conn) beginUndo() {
	c.needRare().resentTS = 0
	c.setFlag(flagUndoable, c.is(flagTS))
}

// noteResent remembers the timestamp of the first retransmission of a recovery. In the one millisecond in which that is 0, which stands for
// none, nothing will be detected.
func (c *Conn) noteResent(ts uint32) {
	if c.is(flagUndoable) && c.rare().resentTS == 0 {
		c.needRare().resentTS = ts
		c.setFlag(flagUndoable, ts != 0)
	}
}

// detectSpurious looks at the first ACK in a recovery that advances, before that is taken.
func (c *Conn) detectSpurious(s *Segment) {
	d := &c.snd
	if c.is(flagForward) {
		c.forwardAdvance(s.Ack)
	}
	x := c.rare()
	if !c.is(flagUndoable) || x.resentTS == 0 {
		return
	}
	c.clear(flagUndoable)
	if !s.HasTS || !tsLess(s.TSEcr, x.resentTS) || c.resentBefore() {
		return
	}
	if d.recovery == recoveryFast {
		c.core.Stats.SpuriousRecoveries++
		c.needHistory().learnt.reordered = true
	} else {
		c.core.Stats.SpuriousTimeouts++
	}
	c.takeBack()
}

// resentBefore reports whether what is first outstanding may have been sent again before the recovery began: by one that came to its end
// before that segment arrived. Then an old timestamp may be that retransmission's. A timeout takes no side: whatever was sent before it
// and has arrived shows that it came too early.
func (c *Conn) resentBefore() bool {
	d := &c.snd
	if d.recovery != recoveryFast || d.queue.Front() == d.unsent {
		return false
	}
	m := c.core.Pool.Meta(d.queue.Front())
	return m.Sends > 2 || (m.Sends == 2 && tsLess(c.tsValue(m.SentAt), c.rare().resentTS))
}

// takeBack ends a recovery that was spurious: nothing more is sent again, and the window is what it was.
func (c *Conn) takeBack() {
	d, p, x := &c.snd, c.core.Pool, c.needRare()
	for f := d.queue.Front(); d.lost != 0 && f != d.unsent; f = p.Meta(f).Next {
		if m := p.Meta(f); m.Flags&metaLost != 0 {
			m.Flags &^= metaLost
			d.lost -= m.Len
		}
	}
	if d.recovery == recoveryRTO {
		x.recover = d.una - 1 // Only one segment was sent again: duplicate ACKs are not about that (RFC 6582 section 4.1).
	}
	// What is in flight again is judged again.
	d.recovery, x.rack.judged = recoveryNone, frame.None
	c.clear(flagForceLost | flagForward | flagForwarded)
	c.cc.OnSpurious()
	c.unreduced()
}

package tcp

import "github.com/xdpstack/xdpstack/frame"

// Without timestamps a spurious timeout is recognised by what is acknowledged after it (F-RTO, RFC 5682: section 3 between ends that
// take SACK, else the basic version of section 2). The timeout sends the first segment again. When an ACK of that comes, new data goes
// out instead of more of what counts as lost. If then something is acknowledged that counts as lost and was not sent again, it was only
// late, and so was all the rest: nothing more is sent again, and the window is what it was before. If a duplicate ACK comes, the loss was
// real.
//
// With timestamps the Eifel detection decides earlier, by the first ACK.

// beginForward is called at a timeout, before the recovery begins. No decision is tried in the course of another recovery, for what was
// sent again in that would be mistaken for what is late; but it is when the same segment timed out before and nothing else was sent again
// since. A timeout that did not reduce the window, because that was reduced for something else, leaves nothing to be taken back.
func (c *Conn) beginForward(again bool) {
	undecided := c.flags&(flagForward|flagForwarded) == flagForward
	c.clear(flagForward | flagForwarded)
	c.setFlag(flagForward, !c.is(flagTS) && (undecided || (!again && c.snd.recovery == recoveryNone)))
}

// forwardAdvance looks at an ACK that advances, before that is taken: step 2 of the algorithm for the first one, step 3 for the second.
func (c *Conn) forwardAdvance(ack Seq) {
	d := &c.snd
	f := d.queue.Front()
	if f == d.unsent {
		c.clear(flagForward | flagForwarded)
		return
	}
	m := c.core.Pool.Meta(f)
	switch {
	case c.is(flagForwarded):
		c.clear(flagForward | flagForwarded)
		if late(m) {
			c.forwardSpurious()
		}
	case ack.GreaterEq(c.rare().recover):
		c.clear(flagForward) // All has arrived: the first segment may have been all that was missing.
	case ack.GreaterEq(Seq(m.Seq).Add(m.Len)):
		c.set(flagForwarded)
	default:
		c.clear(flagForward) // Not even all that was sent again has arrived.
	}
}

// late reports whether the segment, which is now acknowledged, counts as lost and was never sent again.
func late(m *frame.Meta) bool { return m.Flags&metaLost != 0 && m.Sends == 1 }

// forwardAnswered goes on after an ACK was taken: in step 2 the conventional recovery has to do if no new data may go out and nothing is
// in the network that would bring an answer; in step 3 a duplicate ACK shows that the loss was real. A report of something that arrived
// twice shows nothing of the kind.
func (c *Conn) forwardAnswered(s *Segment, acked uint32, duplicate bool) {
	d := &c.snd
	if acked == 0 {
		if (duplicate || s.NumSACK != 0) && !reportsDuplicate(s) {
			c.clear(flagForward | flagForwarded)
		}
		return
	}
	if c.inFlight() == 0 && (d.unsent == frame.None || !c.maySendData() || c.sendable() == 0 || c.is(flagStarved)) {
		c.clear(flagForward | flagForwarded)
	}
}

// forwardSpurious takes the timeout back. When what arrived was sent is not what RACK took it to be: it has seen an ACK of the first
// segment and thought of the retransmission.
func (c *Conn) forwardSpurious() {
	r := &c.needRare().rack
	r.sentAt, r.rtt = 0, 0
	c.core.Stats.SpuriousTimeouts++
	c.takeBack()
}

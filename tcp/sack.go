package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// sackWork is how many frames the SACK blocks of one ACK may have looked at. An honest peer's new blocks lie where the last ones
// were, at the front or at the end; one whose blocks jump through a large window would otherwise have all of it walked for each
// ACK. What is not reached is marked by ACKs that follow: the walk goes on where it stopped.
const sackWork = 512

// markSACKed notes in the records of the frames what the SACK blocks report (RFC 2018, and RFC 6675's scoreboard). What the last ACK
// with blocks reported too is known; only what is new in a block is walked. A block that is not within what is outstanding is old or
// a lie, and ignored. It reports whether something has arrived that counted as lost and was not sent again.
func (c *Conn) markSACKed(s *Segment, now clock.Time) (late bool) {
	d, x := &c.snd, c.needRare()
	if d.sacked == 0 {
		x.reported, x.rack.top = [len(x.reported)]SACKBlock{}, d.una
	}
	var marked [len(x.reported)]SACKBlock
	n, work := 0, sackWork
	m := sackMarker{now: now, s: s, top: x.rack.top}
	blocks := s.SACK[:s.NumSACK]
	if reportsDuplicate(s) {
		c.core.Stats.DSACKsIn++
		c.needHistory().countDSACK()
		c.widen()
		blocks = blocks[1:]
	}
	for _, b := range blocks {
		if !b.Start.Less(b.End) || b.Start.Less(d.una) || b.End.Greater(d.nxt) {
			continue
		}
		if part := x.unreported(b); part.Start.Less(part.End) {
			upTo := c.markBlock(&m, b, part, &work)
			if upTo != b.End {
				c.core.Stats.SACKLimited++
			}
			if b.End = upTo; b.Start == b.End {
				continue
			}
		}
		marked[n] = b
		n++
	}
	x.reported = marked
	x.rack.top = m.top
	if m.sentAt != 0 && d.una.Greater(c.rtt.next) {
		c.rtt.Sample(max(now.Sub(m.sentAt), 1), 0, now)
		c.measuredTo(d.nxt)
	}
	return m.late
}

// reportsDuplicate reports whether the first block is a D-SACK: it says that something arrived twice, by being below what the same
// segment acknowledges or within the second block (RFC 2883 section 4).
func reportsDuplicate(s *Segment) bool {
	if s.NumSACK == 0 {
		return false
	}
	b := s.SACK[0]
	if !b.Start.Less(b.End) {
		return false
	}
	if b.End.LessEq(s.Ack) {
		return true
	}
	return s.NumSACK > 1 && s.SACK[1].Start.LessEq(b.Start) && s.SACK[1].End.GreaterEq(b.End)
}

// unreported returns the part of the block that the blocks of the last ACK do not have; it is empty if they have all of it.
func (x *rare) unreported(b SACKBlock) SACKBlock {
	for _, r := range x.reported {
		if r.Start.LessEq(b.Start) && r.End.Greater(b.Start) {
			b.Start = r.End
		}
		if r.End.GreaterEq(b.End) && r.Start.Less(b.End) {
			b.End = r.Start
		}
	}
	return b
}

// sackMarker is what the blocks of one ACK bring together.
type sackMarker struct {
	s      *Segment
	now    clock.Time
	sentAt clock.Time // when the last of the newly marked frames was sent that was sent just once, 0: there is none
	top    Seq        // the end of what is known to have arrived
	late   bool       // something that counted as lost has arrived and was not sent again
}

// markBlock marks the frames that lie within the block, of those that are in part. It returns up to where it came: to the end of the
// block, unless the work that one ACK may cause was done before.
func (c *Conn) markBlock(mk *sackMarker, b, part SACKBlock, work *int) (upTo Seq) {
	d, p, x := &c.snd, c.core.Pool, c.needRare()
	if *work == 0 {
		return part.Start // and the hint stays where another block of this ACK needs it
	}
	f, found := c.seekSent(part.Start, work)
	if !found {
		x.sackHint = f
		return part.Start
	}
	for f != d.unsent && Seq(p.Meta(f).Seq).Less(part.End) {
		x.sackHint = f
		m := p.Meta(f)
		if *work == 0 {
			return part.Start.Add(uint32(max(Seq(m.Seq).Sub(part.Start), 0)))
		}
		*work--
		end := Seq(m.Seq).Add(m.Len)
		if m.Flags&metaSACKed == 0 && b.Start.LessEq(Seq(m.Seq)) && b.End.GreaterEq(end) {
			c.markFrame(mk, f, m, end)
		}
		f = m.Next
	}
	return b.End
}

// markFrame marks one frame as SACKed.
func (c *Conn) markFrame(mk *sackMarker, f frame.Index, m *frame.Meta, end Seq) {
	d, x := &c.snd, c.needRare()
	mk.late = mk.late || late(m)
	if m.Flags&metaProbe != 0 {
		c.probeArrived(m)
	}
	if m.Flags&metaLost != 0 {
		d.lost -= m.Len
	}
	if m.Flags&metaResent != 0 {
		x.rack.remove(c.core.Pool, f)
	}
	c.delivered(mk.s, m, end, mk.now)
	c.core.sample.noteArrived(m)
	m.Flags = m.Flags&^(metaLost|metaResent) | metaSACKed
	d.sacked += m.Len
	if m.Flags&metaFollows == 0 {
		x.arrived++
	}
	if m.Sends == 1 {
		mk.sentAt = m.SentAt
	}
	if end.Greater(mk.top) {
		mk.top = end
	}
}

// seekSent returns the first sent frame that ends after seq, beginning at the nearest of the places that are known: the front, the
// end, and where the last marking was. When the work is used up before it is found, it returns how far it came.
func (c *Conn) seekSent(seq Seq, work *int) (f frame.Index, found bool) {
	d, p := &c.snd, c.core.Pool
	f = d.queue.Front()
	far := uint32(seq - d.una)
	if h := c.rare().sackHint; h != frame.None {
		if n := seq.Sub(Seq(p.Meta(h).Seq)); uint32(max(n, -n)) < far {
			f, far = h, uint32(max(n, -n))
		}
	}
	if last := c.lastSent(); uint32(d.nxt-seq) < far && last != frame.None {
		f = last
	}
	for f != d.unsent && Seq(p.Meta(f).Seq).Add(p.Meta(f).Len).LessEq(seq) {
		if *work == 0 {
			return f, false
		}
		f = p.Meta(f).Next
		*work--
	}
	for f != d.unsent && Seq(p.Meta(f).Seq).Greater(seq) && p.Meta(f).Prev != frame.None {
		if *work == 0 {
			return f, false
		}
		f = p.Meta(f).Prev
		*work--
	}
	return f, true
}

// lastSent returns the last frame that was sent, or frame.None.
func (c *Conn) lastSent() frame.Index {
	d := &c.snd
	if d.unsent != frame.None {
		return c.core.Pool.Meta(d.unsent).Prev
	}
	return d.queue.Back()
}

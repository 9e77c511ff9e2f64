package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// markSACKed notes in the records of the frames what the SACK blocks report (RFC 6675's scoreboard). It reports whether there was
// something new in them. Blocks that are not within what is outstanding are ignored: one below it reports a duplicate (RFC 2883),
// one above it is a lie.
func (c *Conn) markSACKed(s *Segment, now clock.Time) bool {
	d, p := &c.snd, c.core.Pool
	var blocks [len(s.SACK)]SACKBlock
	n := 0
	top := d.una
	for _, b := range s.SACK[:s.NumSACK] {
		if !b.Start.Less(b.End) || b.Start.Less(d.una) || b.End.Greater(d.nxt) {
			continue
		}
		blocks[n] = b
		n++
		if b.End.Greater(top) {
			top = b.End
		}
	}
	if n == 0 {
		return false
	}
	var newly uint32
	var sentAt clock.Time
	for f := d.queue.Front(); f != d.unsent; {
		m := p.Meta(f)
		if Seq(m.Seq).GreaterEq(top) {
			break
		}
		if m.Flags&metaSACKed == 0 && covered(blocks[:n], Seq(m.Seq), m.Len) {
			if m.Flags&metaLost != 0 {
				d.lost -= m.Len
			}
			m.Flags = m.Flags&^metaLost | metaSACKed
			d.sacked += m.Len
			newly += m.Len
			if m.Sends == 1 {
				sentAt = m.SentAt
			}
		}
		f = m.Next
	}
	if newly == 0 {
		return false
	}
	if sentAt != 0 && d.una.Greater(d.rttNext) {
		c.rtt.Sample(max(now.Sub(sentAt), 1), 0)
		d.rttNext = d.nxt
	}
	return true
}

// covered reports whether one of the blocks has all of [seq, seq+n).
func covered(blocks []SACKBlock, seq Seq, n uint32) bool {
	for i := range blocks {
		if blocks[i].Start.LessEq(seq) && blocks[i].End.GreaterEq(seq.Add(n)) {
			return true
		}
	}
	return false
}

// findLost takes as lost what is below enough SACKed data: RFC 6675 section 4, IsLost. More than two segments' worth of bytes above
// it, or three separate runs, have arrived. Frames before lostTo were judged earlier.
func (c *Conn) findLost() {
	d, p := &c.snd, c.core.Pool
	f := d.queue.Back()
	if d.unsent != frame.None {
		f = p.Meta(d.unsent).Prev
	}
	var bytes uint32
	runs, inRun := 0, false
	for ; f != frame.None && Seq(p.Meta(f).Seq).GreaterEq(d.lostTo); f = p.Meta(f).Prev {
		m := p.Meta(f)
		if m.Flags&metaSACKed == 0 {
			inRun = false
			continue
		}
		bytes += m.Len
		if !inRun {
			runs++
			inRun = true
		}
		if runs >= duplicateThreshold || bytes > (duplicateThreshold-1)*uint32(d.mss) {
			break
		}
	}
	if f == frame.None || Seq(p.Meta(f).Seq).Less(d.lostTo) {
		return
	}
	to := Seq(p.Meta(f).Seq)
	for ; f != frame.None && Seq(p.Meta(f).Seq).GreaterEq(d.lostTo); f = p.Meta(f).Prev {
		if p.Meta(f).Flags&metaResent == 0 {
			c.markLost(f)
		}
	}
	d.lostTo = to
}

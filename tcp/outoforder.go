package tcp

import "github.com/xdpstack/xdpstack/frame"

// outOfOrder keeps payload that lies after a hole: m.Off and m.Len of frame f, beginning at seq. Each such segment is answered
// with a duplicate ACK of its own, at once (RFC 5681 section 4.2).
func (c *Conn) outOfOrder(f frame.Index, m *frame.Meta, seq Seq) {
	k, r := c.core, &c.rcv
	if r.dupACKs < 255 {
		r.dupACKs++
	}
	if c.outOfOrderFull() {
		k.Stats.DropOutOfOrderFull++
		return
	}
	at, ok := c.seekOutOfOrder(seq)
	if !ok {
		k.Stats.DropOutOfOrderWork++
		return
	}
	end := seq.Add(m.Len)
	ok = c.place(m, at, seq, end)
	c.noteSACK(seq, end)
	if !ok {
		k.Stats.DropOutOfOrderCopy++
		c.noteDuplicate(seq, end)
		return
	}
	x := c.needRare()
	x.ooo.InsertAfter(k.Pool, f, at)
	x.oooHint = f
	c.core.current = frame.None
	r.slack += k.charge(m.Len)
	k.held += uint32(k.Pool.ChunkSize())
	k.Stats.OutOfOrder++
	c.needHistory().outOfOrder++
}

// outOfOrderFull bounds the queue: by the memory that the connection's buffer stands for, and by what the pool has left, twice what
// is kept back from senders: however many connections have holes, the others can still send. What is refused here was not
// acknowledged; the sender has it still.
func (c *Conn) outOfOrderFull() bool {
	p := c.core.Pool
	limit := max(int(c.rcv.buffer)/(p.ChunkSize()/2), 8)
	return c.rare().ooo.Len() >= limit || p.Free() < p.Size()/8
}

// placeWork is how many frames of the queue one segment may have looked at to find its place. What an honest peer sends belongs at the
// end, at the front, or beside what came before it; one that jumps about in a long queue of tiny segments would have it walked for each
// of them.
const placeWork = 128

// seekOutOfOrder returns the frame after which payload that begins at seq belongs, frame.None if that is at the front. It begins at the
// nearest of the places that are known: the ends, and where the last segment was put. It reports false if the place is too far from all of
// them; where it stopped is known then, so that what is sent again gets there.
func (c *Conn) seekOutOfOrder(seq Seq) (at frame.Index, ok bool) {
	p, x := c.core.Pool, c.rare()
	front := x.ooo.Front()
	if front == frame.None || Seq(p.Meta(front).Seq).Greater(seq) {
		return frame.None, true
	}
	at = x.ooo.Back()
	far := seq.Sub(Seq(p.Meta(at).Seq))
	if far >= 0 {
		return at, true
	}
	far = -far
	for _, f := range [2]frame.Index{front, x.oooHint} {
		if f == frame.None {
			continue
		}
		if n := seq.Sub(Seq(p.Meta(f).Seq)); max(n, -n) < far {
			at, far = f, max(n, -n)
		}
	}
	work := placeWork
	for ; Seq(p.Meta(at).Seq).Greater(seq) && work > 0; work-- {
		at = p.Meta(at).Prev
	}
	for next := p.Meta(at).Next; next != frame.None && Seq(p.Meta(next).Seq).LessEq(seq) && work > 0; work-- {
		at, next = next, p.Meta(next).Next
	}
	if work == 0 {
		x.oooHint = at
		return at, false
	}
	return at, true
}

// place makes the record m of payload [seq, end), which belongs after frame at, free of overlap with what is there, and removes frames
// that it covers. It reports false if all of it is there already.
func (c *Conn) place(m *frame.Meta, at frame.Index, seq, end Seq) bool {
	p, q := c.core.Pool, &c.needRare().ooo
	m.Seq = uint32(seq)
	next := q.Front()
	if at != frame.None {
		am := p.Meta(at)
		next = am.Next
		has := Seq(am.Seq).Add(am.Len)
		if has.GreaterEq(end) {
			return false
		}
		if cut := has.Sub(seq); cut > 0 {
			m.Seq, m.Off, m.Len = uint32(has), m.Off+uint32(cut), m.Len-uint32(cut)
		}
	}
	for next != frame.None {
		nm := p.Meta(next)
		if Seq(nm.Seq).GreaterEq(end) {
			break
		}
		if Seq(nm.Seq).Add(nm.Len).Greater(end) {
			m.Len = nm.Seq - m.Seq
			break
		}
		covered := next
		next = nm.Next
		q.Remove(p, covered)
		c.dropOutOfOrder(covered)
	}
	return m.Len != 0
}

// dropOutOfOrder gives back a frame that was taken out of the queue.
func (c *Conn) dropOutOfOrder(f frame.Index) {
	k := c.core
	if x := c.rare(); f == x.oooHint {
		x.oooHint = frame.None
	}
	c.rcv.slack -= k.charge(k.Pool.Meta(f).Len)
	k.held -= uint32(k.Pool.ChunkSize())
	k.Pool.Release(f)
}

// drainOutOfOrder delivers what follows RCV.NXT without a hole now.
func (c *Conn) drainOutOfOrder() {
	if !c.hasRare() {
		return
	}
	k, r, x := c.core, &c.rcv, c.rare()
	for {
		f := x.ooo.Front()
		if f == frame.None {
			break
		}
		m := k.Pool.Meta(f)
		old := r.nxt.Sub(Seq(m.Seq))
		if old < 0 {
			break
		}
		x.ooo.PopFront(k.Pool)
		if f == x.oooHint {
			x.oooHint = frame.None
		}
		if uint32(old) >= m.Len {
			c.dropOutOfOrder(f)
			continue
		}
		r.slack -= k.charge(m.Len)
		k.held -= uint32(k.Pool.ChunkSize())
		m.Off, m.Len = m.Off+uint32(old), m.Len-uint32(old)
		c.deliver(f, m, m.Len)
	}
	n := uint8(0)
	for _, b := range x.sackList[:x.sackLen] {
		if b.End.Greater(r.nxt) {
			x.sackList[n] = b
			n++
		}
	}
	x.sackLen = n
}

// noteSACK puts the run that [seq, end) is part of first in the list of SACK blocks, joined with those that it touches.
func (c *Conn) noteSACK(seq, end Seq) {
	if !c.is(flagSACK) {
		return
	}
	x := c.needRare()
	old := x.sackList
	n := uint8(1)
	for _, b := range old[:x.sackLen] {
		if b.End.Less(seq) || b.Start.Greater(end) {
			if n < uint8(len(x.sackList)) {
				x.sackList[n] = b
				n++
			}
			continue
		}
		if b.Start.Less(seq) {
			seq = b.Start
		}
		if b.End.Greater(end) {
			end = b.End
		}
	}
	x.sackList[0] = SACKBlock{seq, end}
	x.sackLen = n
}

// noteDuplicate remembers that [seq, end) was received for the second time, so that the next ACK tells the peer: it learns that what
// it sent again was not lost (RFC 2883 section 4).
func (c *Conn) noteDuplicate(seq, end Seq) {
	if c.is(flagSACK) && seq != end {
		c.needRare().again = SACKBlock{seq, end}
	}
}

// reports reports whether there is something for a SACK option.
func (c *Conn) reports() bool {
	if !c.hasRare() {
		return false
	}
	x := c.rare()
	return x.sackLen != 0 || x.again.Start != x.again.End
}

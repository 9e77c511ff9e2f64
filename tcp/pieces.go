package tcp

import "github.com/xdpstack/xdpstack/frame"

// A segment that is larger than a frame lies in several: the first has the header with all options and the beginning of the payload,
// each other one more piece of it. It is one segment to every check. Only what takes its payload sees the pieces, each as if it
// were a segment of its own that came right behind the one before, so that the queues hold one range for each frame.

// MetaMore in the flags of a received frame's record says that the segment goes on in the next frame, Meta.Next. Whoever takes segments
// from a device sets it, and the links, before Enqueue.
const MetaMore = 1 << 14

// ParseFrames is Parse for a segment whose first frame is f.
func ParseFrames(p *frame.Pool, f frame.Index, s *Segment) error {
	err := Parse(p.Data(f), s)
	for m := p.Meta(f); m.Flags&MetaMore != 0; {
		m = p.Meta(m.Next)
		s.PayloadLen += m.Len
	}
	return err
}

// enqueuePieces is Enqueue for a segment of several frames.
func (c *Conn) enqueuePieces(f frame.Index) {
	p := c.core.Pool
	for more := true; more; {
		m := p.Meta(f)
		next := m.Next
		more = m.Flags&MetaMore != 0
		c.in.PushBack(p, f)
		f = next
	}
}

// takePieces takes from the queue the frames that the segment of the current frame goes on in, and returns how many bytes they have.
func (c *Conn) takePieces() (n uint32) {
	k := c.core
	p := k.Pool
	m := p.Meta(c.core.current)
	ce := m.Flags & MetaCE
	for m.Flags&MetaMore != 0 {
		m.Flags &^= MetaMore
		f := c.in.PopFront(p)
		m = p.Meta(f)
		m.Flags |= ce
		n += m.Len
		k.pieces.PushBack(p, f)
	}
	return n
}

// nextPiece gives up the current frame, unless a queue has taken it, and makes the next piece the current one. It reports false if
// there is none.
func (c *Conn) nextPiece() bool {
	k := c.core
	if c.core.current != frame.None {
		k.Pool.Release(c.core.current)
	}
	c.core.current = k.pieces.PopFront(k.Pool)
	return c.core.current != frame.None
}

// textPieces is text for a segment of several frames.
func (c *Conn) textPieces(s *Segment) {
	r := &c.rcv
	seq, nxt, dups, again := s.Seq, r.nxt, r.dupACKs, c.rare().again
	piece := *s
	taken := false // a piece was taken
	for next := true; next; next = c.nextPiece() {
		n := c.core.Pool.Meta(c.core.current).Len
		piece.Seq, piece.PayloadLen = seq, n
		seq = seq.Add(n)
		if n == 0 {
			continue
		}
		taken = c.textPiece(&piece, !taken) || taken
		if x := c.rare(); x.again != again { // The whole of what came twice is one report.
			if again.End == x.again.Start && again.Start.GreaterEq(s.Seq) && again.Start != again.End {
				x.again.Start = again.Start
			}
			again = x.again
		}
	}
	if r.nxt.Sub(nxt) >= int32(s.PayloadLen) {
		r.mss = max(r.mss, uint16(min(s.PayloadLen, 1<<16-1)))
	}
	r.dupACKs = min(r.dupACKs, dups+1) // One for the segment.
	s.Flags = piece.Flags
	if !taken {
		s.Seq, s.PayloadLen = seq, 0 // for the FIN that may follow it
	}
}

// deliverPieces is deliver for a segment of several frames, whose payload begins at RCV.NXT and is within the window.
func (c *Conn) deliverPieces(s *Segment) {
	r, p := &c.rcv, c.core.Pool
	r.mss = max(r.mss, uint16(min(s.PayloadLen, 1<<16-1)))
	for next := true; next; next = c.nextPiece() {
		m := p.Meta(c.core.current)
		if m.Len == 0 {
			continue
		}
		m.Seq = uint32(r.nxt)
		c.deliver(c.core.current, m, m.Len)
	}
}

package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
)

// receiver is the receiving half of a connection. Its part of the sequence space:
//
//	   read          acked           nxt                     adv
//	────┼──────────────┼──────────────┼───────────────────────┼────────►
//	    │ received in order, and not  │ may be received: the  │ not allowed
//	    │ yet consumed by the reader  │ window (RCV.WND)      │
type receiver struct {
	queue frame.Queue // received in order, for the application

	nxt       Seq    // RCV.NXT
	adv       Seq    // the right edge of the window that was advertised; never retreats
	acked     Seq    // Last.ACK.sent
	read      Seq    // up to here the application has consumed
	irs       Seq    // the peer's initial sequence number
	fin       Seq    // where the peer's FIN is, once it was seen
	slack     uint32 // bytes of memory in queue and rare.ooo beyond their payload, as charge has it
	buffer    uint32 // bytes received and not consumed, at most; less than what was offered if it shrank
	tuning    tuning // how the buffer grows
	epoch     uint32 // of the Core, in which epochFrom was set
	epochFrom Seq    // RCV.NXT at that time

	mss     uint16 // estimate of the peer's full segment, bytes
	scale   uint8  // shift of the windows that are sent
	dupACKs uint8  // duplicate ACKs to be sent, one per out-of-order segment
	quick   uint8  // so many more ACKs wait for no company
	urgent  bool   // the peer's urgent data, up to rare.recvUp, is not consumed yet
}

// smallPayload is up to which length payload is copied behind the payload of the frame before it rather than kept in a frame of its
// own, in bytes: a copy of that length costs less than what a frame occupies. Once half-empty frames have used up a good part of
// the buffer, all payload that fits is copied.
const smallPayload = 256

// plentySegments is how many full segments a window has room for that needs no update of its own: a connection whose first read opens
// the window from the SYN-ACK's 64 KiB to the buffer's size would otherwise send one ACK more for that.
const plentySegments = 16

func (r *receiver) init(cfg *Config) {
	r.queue.Init()
	r.mss = min(DefaultMSS, cfg.MSS)
	r.quick = uint8(cfg.QuickACK)
	r.buffer = cfg.recvBuffer()
}

// start takes the peer's initial sequence number.
func (r *receiver) start(irs Seq) {
	r.irs = irs
	r.nxt, r.acked, r.read = irs+1, irs+1, irs+1
	r.epochFrom = r.nxt
}

// unread reports whether there is data that the application has not taken.
func (r *receiver) unread() bool { return !r.queue.Empty() }

// charge returns what a frame counts for in excess of its payload of n bytes: one that is more than half empty counts as half full,
// so the memory that a peer can occupy with tiny segments is at most twice the buffer.
func (k *Core) charge(n uint32) uint32 {
	half := uint32(k.Pool.ChunkSize()) / 2
	if n >= half {
		return 0
	}
	return half - n
}

// text takes the segment's payload: RFC 9293 section 3.10.7.4, seventh. The segment is acceptable, but part of it may lie before or
// beyond the window, or after a hole.
func (c *Conn) text(s *Segment) {
	if s.PayloadLen == 0 {
		return
	}
	switch c.state {
	case StateEstablished, StateFinWait1, StateFinWait2, StateSynReceived:
	default: // The peer has sent its FIN: there can be no more.
		c.core.Stats.DropAfterFIN++
		return
	}
	if c.is(flagAppClosed) {
		c.refuse(s)
		return
	}
	if !c.core.pieces.Empty() {
		c.textPieces(s)
		return
	}
	c.textPiece(s, true)
}

// textPiece takes the payload in the current frame. It reports whether that lies in the window and the connection may have more; the
// first such piece of a segment brings the mark that came with it.
func (c *Conn) textPiece(s *Segment, first bool) bool {
	f := c.core.current
	m := c.core.Pool.Meta(f)
	end := s.Seq.Add(s.PayloadLen)
	if !c.trim(s, m) {
		s.Seq, s.PayloadLen = end, 0 // for the FIN that may follow it
		return false
	}
	if c.pressed() {
		c.core.Stats.DropMemory++
		c.due |= dueACK
		s.Flags &^= FlagFIN
		return false
	}
	if first {
		if s.Flags&FlagCWR != 0 {
			c.reducedByPeer()
		}
		if m.Flags&MetaCE != 0 || c.is(flagECE) {
			c.arrivedWith(m)
		}
	}
	if s.Seq == c.rcv.nxt {
		c.inOrder(f, m, s.PayloadLen)
	} else {
		c.outOfOrder(f, m, s.Seq)
	}
	return true
}

// pressed reports whether the connection gets no more data for now: the applications have not consumed what came, this one's among
// them. The window was promised before there was too much, and cannot be taken back: what it lets through is dropped, and the peer sends it
// again.
func (c *Conn) pressed() bool {
	return c.core.unread >= c.core.MaxUnread && c.rcv.nxt != c.rcv.read
}

// refuse answers data that nobody will read (RFC 9293 section 3.6.1, RFC 2525 section 2.17).
func (c *Conn) refuse(s *Segment) {
	if s.Seq.Add(s.PayloadLen).LessEq(c.rcv.nxt) {
		c.core.Stats.DropDuplicate++
		c.due |= dueACK
		s.Seq, s.PayloadLen = s.Seq.Add(s.PayloadLen), 0
		return
	}
	c.core.Stats.DropAfterClose++
	c.abort(reasonAborted)
}

// trim cuts off what was received before, what lies beyond the window and what lies beyond the peer's FIN. It reports whether
// something is left.
func (c *Conn) trim(s *Segment, m *frame.Meta) bool {
	r, st := &c.rcv, &c.core.Stats
	if old := r.nxt.Sub(s.Seq); old > 0 {
		c.due |= dueACK // Something of it was received before: perhaps the ACK was lost.
		c.noteDuplicate(s.Seq, s.Seq.Add(min(uint32(old), s.PayloadLen)))
		if uint32(old) >= s.PayloadLen {
			st.DropDuplicate++
			return false
		}
		s.Seq, s.PayloadLen = r.nxt, s.PayloadLen-uint32(old)
		m.Off += uint32(old)
	}
	if over := s.Seq.Add(s.PayloadLen).Sub(r.adv); over > 0 {
		s.Flags &^= FlagFIN
		c.due |= dueACK
		if uint32(over) >= s.PayloadLen {
			st.DropZeroWindow++
			return false
		}
		s.PayloadLen -= uint32(over)
	}
	if c.is(flagPeerFIN) {
		if over := s.Seq.Add(s.PayloadLen).Sub(r.fin); over > 0 {
			st.DropAfterFIN++
			if uint32(over) >= s.PayloadLen {
				return false
			}
			s.PayloadLen -= uint32(over)
		}
	}
	m.Len = s.PayloadLen
	return true
}

// inOrder delivers payload that begins at RCV.NXT, and what it makes a whole with of what came before.
func (c *Conn) inOrder(f frame.Index, m *frame.Meta, n uint32) {
	c.deliver(f, m, n)
	if !c.hasHole() && !c.is(flagPeerFIN) {
		return
	}
	// A hole was filled, or part of one: the sender wants to know at once (RFC 5681 section 4.2). The duplicate ACKs that wait to
	// be sent are about holes before this; they would now be duplicates of a newer ACK.
	c.due |= dueACK
	c.rcv.dupACKs = 0
	c.drainOutOfOrder()
	// A path that loses leaves the sender a window of few segments. Were the ACK of the odd last of a flight to wait, it would wait for
	// the next flight, and be missing from it.
	c.rcv.quick = max(c.rcv.quick, quickAfterHole)
}

// quickAfterHole is how many ACKs do not wait once a hole was filled: for the round trips until the window is larger again.
const quickAfterHole = 32

// deliver appends the payload m.Off, m.Len of frame f to the receive queue and takes the frame over. Small payload is copied into
// the frame before it.
func (c *Conn) deliver(f frame.Index, m *frame.Meta, n uint32) {
	k, r := c.core, &c.rcv
	r.nxt = r.nxt.Add(n)
	k.unread += uint64(n)
	k.Stats.BytesIn += uint64(n)
	c.events |= EventReadable
	r.seen(n)
	c.core.current = frame.None
	if (n <= smallPayload || r.slack > r.buffer/4) && !r.queue.Empty() && c.appendSmall(f, n) {
		return
	}
	r.slack += k.charge(n)
	k.held += uint32(k.Pool.ChunkSize())
	r.queue.PushBack(k.Pool, f)
}

// seen takes the length of a segment of the peer for the estimate of its full ones.
func (r *receiver) seen(n uint32) {
	if n > uint32(r.mss) {
		r.mss = uint16(min(n, 1<<16-1))
	}
}

// appendSmall copies the payload of frame f behind that of the last frame of the queue and releases f, if there is room.
func (c *Conn) appendSmall(f frame.Index, n uint32) bool {
	k := c.core
	p := k.Pool
	t := p.Meta(c.rcv.queue.Back())
	if t.Off+t.Len+n > uint32(p.ChunkSize()) {
		return false
	}
	c.rcv.slack -= k.charge(t.Len)
	copy(p.Chunk(c.rcv.queue.Back())[t.Off+t.Len:], p.Data(f))
	t.Len += n
	c.rcv.slack += k.charge(t.Len)
	p.Release(f)
	return true
}

// Recv takes the next frame of received payload, the range that its record gives, and makes the caller its owner. It returns
// frame.None if there is none at the moment.
func (c *Conn) Recv() frame.Index {
	if c.core == nil || c.rcv.queue.Empty() {
		return frame.None
	}
	k := c.core
	f := c.rcv.queue.PopFront(k.Pool)
	c.rcv.slack -= k.charge(k.Pool.Meta(f).Len)
	k.held -= uint32(k.Pool.ChunkSize())
	return f
}

// Consumed notes that the application is done with n bytes of payload, so the window may open by as much. The peer is told with
// the next segment, or at once if the window that it knows has become small (RFC 9293 section 3.8.6.2.2).
func (c *Conn) Consumed(n uint32) {
	r := &c.rcv
	n = min(n, uint32(r.nxt-r.read))
	r.read = r.read.Add(n)
	if c.core != nil {
		c.core.unread -= uint64(n)
	}
	if r.urgent && c.rare().recvUp.LessEq(r.read) {
		r.urgent = false
	}
	c.offer()
}

// offer has the peer told of a larger window, if the one that it knows has become small.
func (c *Conn) offer() {
	r := &c.rcv
	switch c.state {
	case StateEstablished, StateFinWait1, StateFinWait2:
	default:
		return
	}
	if c.due&dueACK != 0 {
		return
	}
	promised := uint32(r.adv - r.nxt)
	if promised >= plentySegments*uint32(r.mss) {
		return // The peer can go on, and will hear of more with the ACK of what it sends.
	}
	if w := c.window(); w > promised && w >= 2*promised {
		c.due |= dueACK
	}
}

// releaseQueue gives back what the application has not taken.
func (r *receiver) releaseQueue(k *Core) {
	k.held -= uint32(r.queue.ReleaseAll(k.Pool)) * uint32(k.Pool.ChunkSize())
	r.slack = 0
}

// releaseOutOfOrder gives back what was received out of order.
func (c *Conn) releaseOutOfOrder() {
	if !c.hasRare() {
		return
	}
	k, x := c.core, c.rare()
	for f := x.ooo.PopFront(k.Pool); f != frame.None; f = x.ooo.PopFront(k.Pool) {
		c.rcv.slack -= k.charge(k.Pool.Meta(f).Len)
		k.held -= uint32(k.Pool.ChunkSize())
		k.Pool.Release(f)
	}
	x.sackLen, x.oooHint = 0, frame.None
}

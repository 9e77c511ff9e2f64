package tcp

import (
	"math/bits"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// sender is the sending half of a connection. Its part of the sequence space, with the frames of the queue under it:
//
//	   una                            nxt            end
//	────┼──────────────────────────────┼──────────────┼─────────────►
//	    │ sent, not acknowledged:      │ not yet sent │ not yet
//	    │ SACKed, lost, or in flight   │              │ written
//	     [frame][frame][frame][frame]   [frame][frame]
//	      ▲ queue.Front()                ▲ unsent
//
// The SYN and the FIN occupy numbers there but no frames.
type sender struct {
	queue  frame.List  // written and not acknowledged
	unsent frame.Index // the first frame of it that was not sent

	progressAt clock.Time // when the peer last acknowledged something, or was first asked to
	sentAt     clock.Time // when something was last sent

	una      Seq    // SND.UNA
	nxt      Seq    // SND.NXT: never goes back, what is sent again included
	end      Seq    // after the last byte written: where the FIN is
	iss      Seq    // initial send sequence number
	wl1, wl2 Seq    // SND.WL1, SND.WL2: SEG.SEQ and SEG.ACK of the last window update
	wnd      uint32 // SND.WND, bytes from una
	maxWnd   uint32 // the largest window that the peer offered

	sacked uint32 // bytes beyond una that the peer has; without SACK, a segment for each duplicate ACK
	lost   uint32 // bytes that are lost and not sent again yet

	path     path
	mss      uint16 // payload of a full segment, bytes: less than the MSS by the options
	scale    uint8  // shift of the windows that the peer sends
	urgent   bool   // urgent data, up to rare.sendUp, is not acknowledged yet
	retries  uint8  // times that the same thing was sent again without an answer
	dupACKs  uint8  // received in a row
	recovery recovery
	probe    probe
	rate     rate
}

// Flags in the record of a frame that was sent.
const (
	metaSACKed  = 1 << iota // the peer has it, says a SACK block
	metaLost                // it is taken as lost and waits to be sent again
	metaResent              // it was sent again and is in flight: in rack's list
	metaProbe               // it is a probe of the path's MTU, in flight
	metaLimited             // when it was sent, the application was what limited the sending
	metaPassed              // it was received, and passed on to be sent
	metaFollows             // it was sent in the same segment as the frame before it
)

func (d *sender) init() {
	d.queue.Init()
	d.unsent = frame.None
}

// outstanding returns how much of the sequence space was sent and is not acknowledged.
func (c *Conn) outstanding() uint32 { return uint32(c.snd.nxt - c.snd.una) }

// inFlight returns how many bytes are in the network as far as is known: RFC 6675's pipe.
func (c *Conn) inFlight() uint32 {
	d := &c.snd
	return uint32(d.nxt-d.una) - d.sacked - d.lost
}

// payloadInFlight reports whether any of that is payload, whose ACK gives a frame back: that of a FIN does not.
func (c *Conn) payloadInFlight() bool {
	n := c.inFlight()
	return n > 1 || n == 1 && !c.is(flagFINSent)
}

// Write takes as many of the bytes as there is room for and returns how many. If it is fewer than offered, EventWritable follows
// when there is room again.
func (c *Conn) Write(p []byte) int {
	if !c.writable() {
		return 0
	}
	c.core.Unreserve()
	c.checkLimited()
	n := min(len(p), c.room())
	taken := c.fillTail(p[:n])
	for taken < n {
		f := c.newFrame(p[taken:n])
		if f == frame.None {
			break
		}
		taken += int(c.core.Pool.Meta(f).Len)
	}
	if taken < len(p) {
		c.set(flagWantWrite)
	}
	if taken > 0 {
		c.written()
	} else if c.state >= StateEstablished {
		c.settle(c.core.now)
	}
	return taken
}

// written lets the connection know of what was queued.
func (c *Conn) written() {
	if c.is(flagHeld) {
		c.SendSYN(c.core.now)
	}
	if c.state >= StateEstablished {
		c.settle(c.core.now)
	}
}

// writable reports whether the state allows writing.
func (c *Conn) writable() bool {
	switch c.state {
	case StateSynSent, StateSynReceived, StateEstablished, StateCloseWait:
		return !c.is(flagFINQueued)
	}
	return false
}

// room returns how many bytes may be written now: as the send buffer has room for, and not so many that more than Config.NotSentLowat
// would wait to be sent.
func (c *Conn) room() int {
	n := int(c.sendBuffer()) - c.unacked()
	if lowat := c.cfg.NotSentLowat; lowat != 0 {
		n = min(n, int(lowat)-c.notSent())
	}
	return max(n, 0)
}

// Room returns how many bytes Write would take now, as long as there are frames.
func (c *Conn) Room() int {
	if !c.writable() {
		return 0
	}
	return c.room()
}

// notSent returns how many bytes were written and not sent.
func (c *Conn) notSent() int { return max(int(c.snd.end.Sub(c.snd.nxt)), 0) }

// unacked returns how many bytes were written and are not acknowledged.
func (c *Conn) unacked() int { return max(int(c.snd.end.Sub(c.snd.una)), 0) }

// fillTail appends to the last frame if that was not sent and is not full.
func (c *Conn) fillTail(b []byte) int {
	room := c.tailRoom()
	if room == 0 || len(b) == 0 {
		return 0
	}
	n := c.core.appendPayload(c.snd.queue.Back(), room, b)
	c.snd.end = c.snd.end.Add(n)
	return int(n)
}

// tailRoom returns how many bytes the last frame has room for, if it was not sent.
func (c *Conn) tailRoom() uint32 {
	d, p := &c.snd, c.core.Pool
	if d.unsent == frame.None {
		return 0
	}
	m := p.Meta(d.queue.Back())
	fill := c.fill()
	if m.Len >= fill {
		return 0
	}
	return min(fill-m.Len, uint32(p.ChunkSize())-m.Off-m.Len)
}

// appendPayload copies as much of b as fits, room bytes at most, behind the range of frame f, and returns how much. The range grows by it,
// and so does its checksum, which is summed on the way: the bytes are read from memory once.
func (k *Core) appendPayload(f frame.Index, room uint32, b []byte) uint32 {
	m := k.Pool.Meta(f)
	b = b[:min(len(b), int(room))]
	at := k.Pool.Chunk(f)[m.Off+m.Len:]
	if known := m.Sum != 0 || m.Len == 0; known && !k.ChecksumOffload {
		m.Sum = appendSum(m.Sum, m.Len, checksum.Copy(at, b))
	} else {
		m.Sum = 0
		copy(at[:len(b)], b)
	}
	m.Len += uint32(len(b))
	return uint32(len(b))
}

// appendSum returns the partial sum of n bytes with the sum whole, and behind them those with the sum more. Behind an odd number of bytes
// every byte is in the other half of its word (RFC 1071 section 2(B)). Of the two zeros of a ones' complement sum it gives 0xffff.
func appendSum(whole uint16, n, more uint32) uint16 {
	if n%2 != 0 {
		more = uint32(bits.ReverseBytes16(uint16(more)))
	}
	if s := uint16(checksum.Combine(uint32(whole), more)); s != 0 {
		return s
	}
	return 0xffff
}

// newFrame appends a frame with the beginning of b, or returns frame.None when the connection or the pool may hold no more.
func (c *Conn) newFrame(b []byte) frame.Index {
	f := c.allocFrame()
	if f == frame.None {
		return f
	}
	c.core.Pool.Meta(f).Off = c.core.Headroom
	c.core.appendPayload(f, c.fill(), b)
	c.pushFrame(f)
	return f
}

// allocFrame takes a frame for the send queue, or returns frame.None when the connection or the pool may hold no more.
func (c *Conn) allocFrame() frame.Index {
	k, d := c.core, &c.snd
	if d.queue.Len() >= c.mostFrames() {
		return frame.None
	}
	if !k.mayHold(d.queue.Len()) {
		c.starved()
		return frame.None
	}
	return k.Pool.Alloc()
}

// pushFrame appends a frame to the send queue, with the range of its record.
func (c *Conn) pushFrame(f frame.Index) {
	d, p := &c.snd, c.core.Pool
	m := p.Meta(f)
	m.Seq = uint32(d.end)
	d.end = d.end.Add(m.Len)
	d.queue.PushBack(p, f)
	if d.unsent == frame.None {
		d.unsent = f
	}
}

// mostFrames returns how many frames the send buffer stands for: those that are half empty count as half full, as in the receive buffer.
func (c *Conn) mostFrames() int { return max(int(c.sendBuffer())/(c.core.Pool.ChunkSize()/2), 2) }

// maybeWritable raises EventWritable once a good part of the buffer is free, not for each segment, and at most half of what may wait to be
// sent waits.
func (c *Conn) maybeWritable() {
	enough := int(c.sendBuffer()) / 4
	if lowat := c.cfg.NotSentLowat; lowat != 0 {
		enough = min(enough, (int(lowat)+1)/2)
	}
	if c.room() < enough || c.snd.queue.Len() >= c.mostFrames() {
		return
	}
	if !c.core.mayHold(c.snd.queue.Len()) {
		c.starved()
		return
	}
	c.notifyWritable()
}

// notifyWritable raises EventWritable if it is owed.
func (c *Conn) notifyWritable() {
	if c.is(flagWantWrite) && c.writable() {
		c.clear(flagWantWrite)
		c.events |= EventWritable
	}
}

// split divides frame f of the send queue after its first n bytes: a new frame before it takes them. It reports false if the
// pool has none to spare; the connection tries again after a while. Of what mayHold leaves free, half is for this and half
// for receiving into: without that no ACK would come that gives a frame back. But one with no payload in flight may always have one, or
// connections whose segments became smaller, with all frames written for larger ones, would wait for each other.
func (c *Conn) split(f frame.Index, n uint32) (frame.Index, bool) {
	p, d := c.core.Pool, &c.snd
	g := frame.None
	if p.Free() > p.Size()/32 || !c.payloadInFlight() {
		g = p.Alloc()
	}
	if g == frame.None {
		c.set(flagStarved)
		c.starved()
		return f, false
	}
	m, h := p.Meta(f), p.Meta(g)
	prev := m.Prev
	h.Off, h.Seq = c.core.Headroom, m.Seq
	h.Flags, h.Sends, h.SentAt = m.Flags, m.Sends, m.SentAt
	h.Delivered, h.DeliveredAt, h.FirstSent = m.Delivered, m.DeliveredAt, m.FirstSent
	c.core.appendPayload(g, n, p.Data(f))
	m.Off, m.Len, m.Seq, m.Sum = m.Off+n, m.Len-n, m.Seq+n, 0
	d.queue.InsertAfter(p, g, prev)
	if d.unsent == f {
		d.unsent = g
	}
	if c.hasRare() {
		x := c.rare()
		if x.lostHint == f {
			x.lostHint = g
		}
	}
	if m.Sends != 0 {
		m.Flags |= metaFollows
	}
	c.core.Stats.Splits++
	return g, true
}

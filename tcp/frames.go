package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Where the device's MTU is larger than what a frame holds, a segment that is sent is a run of frames of the send queue. They are filled
// evenly, so that any run of as many as a full segment has is one: nothing but their order says where segments begin. Each keeps its
// own record, so what is SACKed, lost and sent again is known for each frame as ever, and a part of a segment can go again alone.

// manyFrames reports whether full segments lie in several frames.
func (c *Conn) manyFrames() bool { return uint32(c.snd.mss) > c.core.frameRoom }

// frames returns in how many frames a segment of n bytes lies.
func (k *Core) frames(n uint32) uint32 { return (n + k.frameRoom - 1) / k.frameRoom }

// MaxFrames returns how many frames a segment that is sent has at most.
func (k *Core) MaxFrames() int { return int(k.maxFrames) }

// evenMSS returns the largest payload of up to n bytes that all its frames have the same part of.
func (k *Core) evenMSS(n uint16) uint16 {
	if uint32(n) <= k.frameRoom {
		return n
	}
	return n - n%uint16(k.frames(uint32(n)))
}

// fill returns how many bytes a frame of the send queue is filled with.
func (c *Conn) fill() uint32 {
	mss := uint32(c.snd.mss)
	if !c.manyFrames() {
		return mss
	}
	return mss / c.core.frames(mss)
}

// limit returns how many bytes a segment of several frames has at most now: the MSS, or half of the peer's window or of the congestion
// window if that is less, but a frame at least. A sender that could not have two segments in a window would wait for the ACK of each,
// and the peer delay that; and one whose segments are larger than the peer's window would send nothing at all (RFC 9293 section
// 3.8.6.2.1) until a timer says so.
func (c *Conn) limit() uint32 {
	return min(uint32(c.snd.mss), max(min(c.snd.wnd, c.cc.Window())/2, c.core.frameRoom))
}

// run returns how many bytes the whole frames have together that make up the next segment, no more than limit, and the last of them. One
// that has more than that alone counts as limit bytes.
func (c *Conn) run(limit uint32) (n uint32, last *frame.Meta) {
	p := c.core.Pool
	last = p.Meta(c.snd.unsent)
	n = min(last.Len, limit)
	for more := uint8(1); more < c.core.maxFrames && last.Next != frame.None; more++ {
		next := p.Meta(last.Next)
		if n+next.Len > limit {
			break
		}
		n += next.Len
		last = next
	}
	return n, last
}

// cut makes the frames from f on, which have no more than n bytes in all but the last, have n bytes together, by splitting that, and
// returns how many frames there are beyond the first. If the pool has no frame for the split, n becomes what the whole ones have.
func (c *Conn) cut(f frame.Index, n *uint32) (more uint8) {
	p := c.core.Pool
	m := p.Meta(f)
	for rest := *n - m.Len; rest != 0; rest -= m.Len {
		f = m.Next
		m = p.Meta(f)
		if m.Len > rest {
			g, ok := c.split(f, rest)
			if !ok {
				*n -= rest
				return more
			}
			m = p.Meta(g)
		}
		more++
	}
	return more
}

// outMore adds to a segment the frames behind its first, which has the record m. It returns the record of the last.
func (c *Conn) outMore(now clock.Time, o *OutSegment, m *frame.Meta, more uint8) *frame.Meta {
	p := c.core.Pool
	o.More = more
	for range more {
		m = p.Meta(m.Next)
		o.Len += m.Len
		m.Flags |= metaFollows
		m.SentAt = now
		if m.Sends < 255 {
			m.Sends++
		}
	}
	return m
}

// segmentEnd returns the frame behind those that were sent as one segment with f, or were with the first of it that is still there.
func (c *Conn) segmentEnd(f frame.Index) (end frame.Index, n uint32) {
	p := c.core.Pool
	m := p.Meta(f)
	n = m.Len
	for m.Next != c.snd.unsent && m.Next != frame.None && p.Meta(m.Next).Flags&metaFollows != 0 {
		m = p.Meta(m.Next)
		n += m.Len
	}
	return m.Next, n
}

// markSegmentLost takes all frames as lost that were sent as one segment with f, the first of it that is still there.
func (c *Conn) markSegmentLost(f frame.Index) {
	end, _ := c.segmentEnd(f)
	for ; f != end; f = c.core.Pool.Meta(f).Next {
		c.markLost(f)
	}
}

// lostRun returns how many frames behind f, which is lost, may go again in the same segment: those that follow and are lost too, as far
// as they fit.
func (c *Conn) lostRun(f frame.Index) (more uint8) {
	p := c.core.Pool
	m, limit := p.Meta(f), c.limit()
	for n := m.Len; m.Next != c.snd.unsent && m.Next != frame.None && more < c.core.maxFrames-1; more++ {
		m = p.Meta(m.Next)
		if n += m.Len; n > limit || m.Flags&metaLost == 0 {
			break
		}
	}
	return more
}

package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

// reservation is memory that an application writes into, to be sent from there. There is one of a Core at a time: it does not
// outlive the callback that made it, and so needs no room in a connection.
type reservation struct {
	conn  *Conn // nil: there is none
	frame frame.Index
	room  uint32 // bytes
	tail  bool   // it is the rest of the last frame of the send queue; else a frame that is in no queue
}

// Reserve returns memory of a frame to write up to n bytes into, which Commit then queues without copying them. It has n bytes
// unless a segment, or the send buffer, has room for fewer. It is nil if nothing can be written now; EventWritable follows when
// that has changed.
//
// The memory is the application's until Commit, the next Reserve on the same Core, a Write or Unreserve. What is not committed by
// then is forgotten.
func (c *Conn) Reserve(n int) []byte {
	if !c.writable() || n <= 0 {
		return nil
	}
	k, d := c.core, &c.snd
	k.Unreserve()
	if n = min(n, c.room()); n == 0 {
		c.set(flagWantWrite)
		return nil
	}
	r := reservation{conn: c}
	var at uint32
	if uint32(n) <= c.tailRoom() {
		r.frame, r.room, r.tail = d.queue.Back(), uint32(n), true
		m := k.Pool.Meta(r.frame)
		at = m.Off + m.Len
	} else {
		if r.frame = c.allocFrame(); r.frame == frame.None {
			c.set(flagWantWrite)
			return nil
		}
		at = k.Headroom
		k.Pool.Meta(r.frame).Off = at
		r.room = min(uint32(n), c.fill(), uint32(k.Pool.ChunkSize())-at)
	}
	k.reserved = r
	return k.Pool.Chunk(r.frame)[at : at+r.room : at+r.room]
}

// Commit queues the first n bytes of what Reserve returned. It reports false, and queues nothing, if less is reserved for the
// connection.
func (c *Conn) Commit(n int) bool {
	k := c.core
	if k == nil || k.reserved.conn != c || n < 0 || n > int(k.reserved.room) || !c.writable() {
		return false
	}
	r := k.reserved
	if n == 0 {
		k.Unreserve()
		return true
	}
	c.checkLimited()
	m := k.Pool.Meta(r.frame)
	switch {
	case r.tail:
		k.reserved = reservation{}
		k.grow(m, k.Pool.Chunk(r.frame)[m.Off+m.Len:][:n])
		c.snd.end = c.snd.end.Add(uint32(n))
	case n <= smallPayload && uint32(n) <= c.tailRoom():
		c.fillTail(k.Pool.Chunk(r.frame)[m.Off:][:n])
		k.Unreserve()
	default:
		k.reserved = reservation{}
		k.grow(m, k.Pool.Chunk(r.frame)[m.Off:][:n])
		c.pushFrame(r.frame)
	}
	c.written()
	return true
}

// Unreserve forgets what is reserved and not committed.
func (k *Core) Unreserve() {
	if k.reserved.conn != nil {
		k.unreserve()
	}
}

func (k *Core) unreserve() {
	if !k.reserved.tail {
		k.Pool.Release(k.reserved.frame)
	}
	k.reserved = reservation{}
}

// grow makes bytes that were written behind a frame's range a part of it. They are summed now, while they are in the cache.
func (k *Core) grow(m *frame.Meta, b []byte) {
	if known := m.Sum != 0 || m.Len == 0; known && !k.ChecksumOffload {
		m.Sum = appendSum(m.Sum, m.Len, checksum.Sum(b, 0))
	} else {
		m.Sum = 0
	}
	m.Len += uint32(len(b))
}

// WriteWhole is Write of all bytes or none: it reports false, and takes nothing, if there is no room for the whole; EventWritable
// follows when there is.
func (c *Conn) WriteWhole(p []byte) bool {
	if !c.writable() {
		return false
	}
	k, d := c.core, &c.snd
	k.Unreserve()
	if len(p) > c.room() {
		c.set(flagWantWrite)
		return false
	}
	c.checkLimited()
	if uint32(len(p)) <= c.tailRoom() {
		c.fillTail(p)
		c.written()
		return true
	}
	fill := c.fill()
	frames := (len(p) + int(fill) - 1) / int(fill)
	switch held := d.queue.Len(); {
	case held > 0 && held+frames > c.mostFrames():
		c.set(flagWantWrite)
		return false
	case !k.mayHold(held + frames - 1):
		c.set(flagWantWrite)
		c.starved()
		return false
	}
	for len(p) > 0 {
		g := k.Pool.Alloc()
		k.Pool.Meta(g).Off = k.Headroom
		p = p[k.appendPayload(g, fill, p):]
		c.pushFrame(g)
	}
	c.written()
	return true
}

// WriteFrame queues a frame that another connection of the Core has received, with the range of its record. The frame is sent as
// it is, unless headers have no room in front of its payload or a send queue has had it before; then that is copied, as is a
// short one where what was written before has room. It takes the caller's ownership over. It reports false, and takes nothing, if
// there is no room for the whole; EventWritable follows when there is.
func (c *Conn) WriteFrame(f frame.Index) bool {
	if !c.writable() {
		return false
	}
	k, d := c.core, &c.snd
	k.Unreserve()
	m := k.Pool.Meta(f)
	if m.Len > uint32(c.room()) {
		c.set(flagWantWrite)
		return false
	}
	c.checkLimited()
	if m.Len <= smallPayload && m.Len <= c.tailRoom() {
		c.fillTail(k.Pool.Data(f))
		k.Pool.Release(f)
		c.written()
		return true
	}
	asItIs := m.Off >= k.Headroom && m.Flags&metaPassed == 0
	room := uint32(k.Pool.ChunkSize()) - k.Headroom
	frames := 1
	if !asItIs {
		frames = int((m.Len + room - 1) / room)
	}
	// It holds a frame already, but one that the receiver's window counts: once that opens, more comes.
	switch held := d.queue.Len() + frames - 1; {
	case held >= c.mostFrames():
		c.set(flagWantWrite)
		return false
	case !k.mayHold(held):
		c.set(flagWantWrite)
		c.starved()
		return false
	}
	if asItIs {
		m.Flags, m.Sends, m.Sum = metaPassed, 0, 0
		c.pushFrame(f)
		k.Stats.FramesPassed++
	} else {
		for b := k.Pool.Data(f); len(b) > 0; {
			g := k.Pool.Alloc()
			k.Pool.Meta(g).Off = k.Headroom
			b = b[k.appendPayload(g, room, b):]
			c.pushFrame(g)
		}
		k.Pool.Release(f)
	}
	c.written()
	return true
}

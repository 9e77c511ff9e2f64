package stack

import "github.com/xdpstack/xdpstack/frame"

// Buffer is received payload that the application has kept. The peer's window stays smaller by its size until it is released.
type Buffer struct {
	frame frame.Index // None: it was copied
	size  uint32
	copy  []byte
}

// Retain keeps the memory of the slice that Received was given, until Release. Only Received may call it. Every buffer must be
// released by the time that Closed returns: afterwards c must not be used, and the frame would be lost to the stack.
func (c *Conn) Retain() Buffer {
	s := c.shard
	s.retained = true
	if s.handing == frame.None {
		return Buffer{frame: frame.None, size: uint32(len(s.copied)), copy: s.copied}
	}
	s.pool.Retain(s.handing)
	return Buffer{frame: s.handing, size: s.pool.Meta(s.handing).Len}
}

// Release gives back what Retain kept.
func (c *Conn) Release(b Buffer) {
	if b.frame != frame.None {
		c.shard.pool.Release(b.frame)
	}
	c.tcp.Consumed(b.size)
	c.shard.schedule(c)
}

// SendBuffer sends on connection to, of the same shard, what c has received and kept with Retain. The frame itself is sent where it has
// room for the headers; nothing is copied then. It reports false, and takes nothing, if there is no room for all of it; Writable is called
// when there is. Otherwise it does what Release does: the window of c's peer opens as to has room.
func (c *Conn) SendBuffer(b Buffer, to *Conn) bool {
	ok := false
	if b.frame != frame.None {
		ok = to.tcp.WriteFrame(b.frame)
	} else {
		ok = to.tcp.WriteWhole(b.copy)
	}
	to.shard.schedule(to)
	if ok {
		c.tcp.Consumed(b.size)
		c.shard.schedule(c)
	}
	return ok
}

// handOver gives a handler the payload that was received. Of what it has not kept the peer is told once.
func (s *Shard) handOver(c *Conn) {
	done := uint32(0)
	for f := c.tcp.Recv(); f != frame.None; f = c.tcp.Recv() {
		if s.pool.Free() < s.least {
			done += s.handCopy(c, f)
			continue
		}
		n := s.pool.Meta(f).Len
		s.handing, s.retained = f, false
		s.origins.at(c.origin).handler.Received(c, s.pool.Data(f))
		s.pool.Release(f)
		if !s.retained {
			done += n
		}
	}
	if done != 0 {
		c.tcp.Consumed(done)
	}
}

// handCopy is handOver for one frame when there are so few that writes get none. A handler that has to wait until it can write keeps
// what it is given, as do those of thousands of other connections: if these were the last frames, nothing could be received any more that
// sets one free. So it is given a copy, which is not made anew unless it was kept. What all connections keep is bounded by MaxUnread.
func (s *Shard) handCopy(c *Conn, f frame.Index) (done uint32) {
	s.copied = append(s.copied[:0], s.pool.Data(f)...)
	s.pool.Release(f)
	s.stats.Copied++
	s.handing, s.retained = frame.None, false
	b := s.copied
	s.origins.at(c.origin).handler.Received(c, b)
	if s.retained {
		s.copied = nil
		return 0
	}
	return uint32(len(b))
}

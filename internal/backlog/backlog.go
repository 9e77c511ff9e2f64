package backlog

import "github.com/xdpstack/xdpstack/stack"

// Backlog is payload that came while an answer waited for room in the send buffer: the frames themselves, which count against the
// peer's window until they are released. The zero Backlog is empty.
type Backlog struct {
	parts []part
}

type part struct {
	buf  stack.Buffer
	rest []byte
}

// Empty reports whether there is nothing.
func (b *Backlog) Empty() bool { return len(b.parts) == 0 }

// Keep adds what Received was given, from the first byte that is not dealt with on. Only Received may call it.
func (b *Backlog) Keep(c *stack.Conn, rest []byte) {
	b.parts = append(b.parts, part{buf: c.Retain(), rest: rest})
}

// Drain hands the parts in order to a function that returns what it could not deal with yet, and reports whether none is left.
func (b *Backlog) Drain(c *stack.Conn, consume func(p []byte) (rest []byte)) bool {
	for i := range b.parts {
		p := &b.parts[i]
		if p.rest = consume(p.rest); len(p.rest) > 0 {
			b.parts = append(b.parts[:0], b.parts[i:]...)
			return false
		}
		c.Release(p.buf)
	}
	b.parts = b.parts[:0]
	return true
}

// Pass sends the parts in order on another connection of the same shard, and reports whether none is left. They must be whole: as Received
// was given them.
func (b *Backlog) Pass(c, to *stack.Conn) bool {
	for i := range b.parts {
		if !c.SendBuffer(b.parts[i].buf, to) {
			b.parts = append(b.parts[:0], b.parts[i:]...)
			return false
		}
	}
	b.parts = b.parts[:0]
	return true
}

// Detach returns a copy of everything, and releases it: for when the connection is over and what it brought is not dealt with.
func (b *Backlog) Detach(c *stack.Conn) []byte {
	var all []byte
	for i := range b.parts {
		all = append(all, b.parts[i].rest...)
	}
	b.Drop(c)
	return all
}

// Drop releases everything.
func (b *Backlog) Drop(c *stack.Conn) {
	for i := range b.parts {
		c.Release(b.parts[i].buf)
	}
	b.parts = nil
}

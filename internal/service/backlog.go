package service

import "github.com/xdpstack/xdpstack/stack"

// backlog is payload that came while an answer waited for room in the send buffer: the frames themselves, which count against the
// peer's window until they are released. The zero backlog is empty.
type backlog struct {
	parts []part
}

type part struct {
	buf  stack.Buffer
	rest []byte
}

func (b *backlog) empty() bool { return len(b.parts) == 0 }

// keep adds what Received was given, from the first byte that is not dealt with on. Only Received may call it.
func (b *backlog) keep(c *stack.Conn, rest []byte) {
	b.parts = append(b.parts, part{buf: c.Retain(), rest: rest})
}

// drain hands the parts in order to a function that returns what it could not deal with yet, and reports whether none is left.
func (b *backlog) drain(c *stack.Conn, consume func(p []byte) (rest []byte)) bool {
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

// drop releases everything.
func (b *backlog) drop(c *stack.Conn) {
	for i := range b.parts {
		c.Release(b.parts[i].buf)
	}
	b.parts = nil
}

package tcp

// The urgent mechanism marks a point in the stream up to which the reader is to hurry (RFC 9293 section 3.8.5). The data stays in
// line; nothing is taken out of it, as RFC 6093 section 6 wants it. The pointer names the byte after the urgent data. New
// protocols should not use it.

// urg is the sixth check (RFC 9293 section 3.10.7.4): the urgent pointer is noted, and the application told when it advances. One
// that points at nothing that is still to be read says nothing.
func (c *Conn) urg(s *Segment) {
	if s.Flags&FlagURG == 0 {
		return
	}
	c.core.Stats.Urgent++
	switch c.state {
	case StateEstablished, StateFinWait1, StateFinWait2:
	default: // The peer has sent its FIN: there can be no more.
		return
	}
	r := &c.rcv
	up := s.Seq.Add(uint32(s.Urgent))
	if up.LessEq(r.read) || (r.urgent && up.LessEq(c.rare().recvUp)) {
		return
	}
	c.needRare().recvUp, r.urgent = up, true
	c.events |= EventUrgent
}

// Urgent returns how many bytes the application has still to consume until the end of the peer's urgent data, those included that
// have not arrived; 0: there is no urgent data.
func (c *Conn) Urgent() uint32 {
	if !c.rcv.urgent {
		return 0
	}
	return uint32(c.rare().recvUp - c.rcv.read)
}

// WriteUrgent is Write for urgent data: until the peer has acknowledged the last byte that was taken, every segment says how far it
// reaches.
func (c *Conn) WriteUrgent(p []byte) int {
	n := c.Write(p)
	if n > 0 {
		c.needRare().sendUp, c.snd.urgent = c.snd.end, true
	}
	return n
}

// outUrgent puts the urgent pointer into a segment that begins before it. Where it is too far ahead for the field, it is as far as
// possible: the peer sees it advance with each segment.
func (c *Conn) outUrgent(o *OutSegment) {
	d, up := &c.snd, c.rare().sendUp
	if d.una.GreaterEq(up) {
		d.urgent = false
		return
	}
	if n := up.Sub(o.Seq); n > 0 {
		o.Flags |= FlagURG
		o.Urgent = uint16(min(n, 1<<16-1))
	}
}

package tcp

// What a peer that does not answer leads to is bound by two thresholds (RFC 9293 section 3.8.3). At R1 the application is told and the
// layers below are to look whether the way to the peer still works; at R2 the connection ends. R2 is Config.Retries, or
// Config.UserTimeout if that is over sooner.

// thresholdR1 is how often the same segment is sent again until R1.
const thresholdR1 = 3

// noteUnanswered tells that R1 is reached or exceeded, with each further time that the segment o is sent.
func (c *Conn) noteUnanswered(o *OutSegment) {
	if o.Len != 0 || o.Flags&(FlagSYN|FlagFIN) != 0 {
		c.events |= EventUnanswered
	}
}

// SoftErr returns what the last ICMP error said that did not end the connection, nil if there was none since the peer last acknowledged
// something. It is why the connection will have ended if the peer stays silent.
func (c *Conn) SoftErr() error {
	if c.soft == reasonNone {
		return nil
	}
	return reasons[c.soft]
}

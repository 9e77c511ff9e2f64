package tcp

// Events are what happened on a connection since TakeEvents was last called.
type Events uint16

// The events.
const (
	EventEstablished Events = 1 << iota // the handshake is complete, or with Fast Open data may be written before it is
	EventReadable                       // Recv has a frame
	EventWritable                       // Write takes bytes again, after it took fewer than were offered
	EventPeerClosed                     // the peer's FIN was reached: after what Recv still has, nothing follows
	EventTimeWait                       // only TIME-WAIT is left, which TimeWaitRecord can stand for
	EventClosed                         // the connection is gone, for the reason that Err gives

	// What follows are the asynchronous reports of RFC 9293 section 3.9.1.8: nothing ends by them.

	EventUrgent      // the peer's urgent pointer advanced: Urgent says how far
	EventUnanswered  // the same segment was sent for the fourth time or more without an answer
	EventUnreachable // an ICMP error came: SoftErr says which
)

const eventLetters = "ERWPTCUAI"

// String returns one letter per event.
func (e Events) String() string {
	b := make([]byte, 0, len(eventLetters))
	for i := range eventLetters {
		if e&(1<<i) != 0 {
			b = append(b, eventLetters[i])
		}
	}
	return string(b)
}

// TakeEvents returns what happened and forgets it. EventClosed may come while a last segment, a RST or the ACK of a FIN, is still
// to be pulled: pull Output before Release. After EventTimeWait and EventClosed Recv may still have frames.
func (c *Conn) TakeEvents() Events {
	e := c.events
	c.events = 0
	return e
}

// PendingEvents returns what happened without forgetting it.
func (c *Conn) PendingEvents() Events { return c.events }

package stack

import "github.com/xdpstack/xdpstack/tcp"

// Report says what happened to a connection that does not end by it: the asynchronous reports of RFC 9293 section 3.9.1.8.
type Report uint8

// The reports.
const (
	// ReportUnanswered: the peer did not answer the same segment for the fourth time or more (R1 of RFC 9293 section 3.8.3). It
	// comes before Opened if that segment is the SYN.
	ReportUnanswered Report = iota
	// ReportUnreachable: an ICMP error came that ends nothing; Conn.SoftErr says what it means.
	ReportUnreachable
	// ReportUrgent: the peer's urgent pointer has advanced; Conn.Urgent says how far.
	ReportUrgent
)

// String returns the report's name.
func (r Report) String() string {
	if int(r) < len(reportNames) {
		return reportNames[r]
	}
	return "unknown"
}

var reportNames = [...]string{"unanswered", "unreachable", "urgent"}

// Reporter is a [Handler] that wants reports. A handler without the method gets none. Like the others it must not block.
type Reporter interface {
	Report(c *Conn, r Report)
}

const reportEvents = tcp.EventUnanswered | tcp.EventUnreachable | tcp.EventUrgent

// tell tells the neighbour table and the application what the connection reports.
func (s *Shard) tell(c *Conn, ev tcp.Events) {
	if ev&tcp.EventUnanswered != 0 {
		if hop, ok := c.nextHop(); ok {
			s.neigh.Doubt(hop, s.now)
		}
	}
	h, ok := c.handler().(Reporter)
	if !ok {
		return
	}
	if ev&tcp.EventUnanswered != 0 {
		h.Report(c, ReportUnanswered)
	}
	if ev&tcp.EventUnreachable != 0 {
		h.Report(c, ReportUnreachable)
	}
	if ev&tcp.EventUrgent != 0 {
		h.Report(c, ReportUrgent)
	}
}

// SoftErr returns what the last ICMP error said that did not end the connection, or nil.
func (c *Conn) SoftErr() error { return c.tcp.SoftErr() }

// Urgent returns how many bytes are still to be handled until the end of the peer's urgent data: in Received, those that it was given
// count. 0: there is no urgent data.
func (c *Conn) Urgent() uint32 { return c.tcp.Urgent() }

// WriteUrgent is Write for urgent data: the peer is told up to which byte it reaches. New protocols should not use it (RFC 9293
// section 3.8.5).
func (c *Conn) WriteUrgent(p []byte) int {
	n := c.tcp.WriteUrgent(p)
	if n > 0 {
		c.shard.schedule(c)
	}
	return n
}

package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// counters are what TCPInfo tells and nothing else needs, but for what is in history. What follows from sequence numbers is not
// counted: payload acknowledged and received are distances from the initial numbers, and only how often those wrapped has to be kept.
type counters struct {
	dataOut   uint32 // segments with payload sent for the first time
	dataAt    uint32 // when payload in order last came, as tick has it
	sentWraps uint16 // times that RTT.next passed the initial number
	recvWraps uint16 // times that epochFrom passed the peer's
}

// measuredTo begins a round trip that ends when more than to is acknowledged. There is one within every 2^31 bytes, so this is
// the place to find that the numbers have wrapped.
func (c *Conn) measuredTo(to Seq) {
	d := &c.snd
	if uint32(to-d.iss) < uint32(c.rtt.next-d.iss) {
		c.count.sentWraps++
	}
	c.rtt.next = to
	c.clear(flagProbed)
}

// bytesSent returns how many bytes of payload were acknowledged, and how many were sent, each once.
func (c *Conn) bytesSent() (acked, sent uint64) {
	d := &c.snd
	base := uint64(c.count.sentWraps)<<32 | uint64(uint32(c.rtt.next-d.iss))
	acked = base + uint64(int64(d.una.Sub(c.rtt.next)))
	sent = acked + uint64(c.outstanding())
	// The SYN is number 0 of the stream and the FIN the one behind its end.
	acked -= min(acked, 1)
	sent -= min(sent, 1)
	if c.is(flagFINSent) {
		sent--
		if d.una == d.end+1 {
			acked--
		}
	}
	return acked, sent
}

// bytesReceived returns how many bytes of payload were received in order.
func (c *Conn) bytesReceived() uint64 {
	r := &c.rcv
	n := uint64(c.count.recvWraps)<<32 | uint64(uint32(r.epochFrom-r.irs))
	n += uint64(uint32(r.nxt - r.epochFrom))
	n -= min(n, 1)
	if c.is(flagPeerFIN) && r.nxt == r.fin+1 {
		n--
	}
	return n
}

// tickShift makes a tick of the clock of something over a millisecond.
const tickShift = 20

// tick returns the time in 32 bits, which wrap after 52 days.
func tick(now clock.Time) uint32 { return uint32(now >> tickShift) }

// secondShift makes a second of the clock of something over one.
const secondShift = 30

// seconds returns the time in 32 bits, which do not wrap.
func seconds(now clock.Time) uint32 { return uint32(now >> secondShift) }

// millisSince returns how long ago a tick was, in milliseconds.
func millisSince(now clock.Time, at uint32) uint32 {
	return uint32((uint64(tick(now)-at) << tickShift) / uint64(time.Millisecond))
}

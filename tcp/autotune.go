package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// The buffers of a connection whose configuration gives none follow the path. On the receiving side that is dynamic right-sizing: what
// the application consumes in a round trip is what the path brings in one, and twice of it lets the sender, which hears of
// a larger window a round trip later, never wait for the window. On the sending side the congestion window says what the path takes.
const (
	// initialRecvBuffer is what a connection begins with, in bytes. It holds what a peer with an initial window of 10 segments
	// doubles to in its first three round trips, and the 64 KiB that a SYN can promise.
	initialRecvBuffer = 128 << 10

	// initialSendBuffer is the least that a send buffer shrinks to, in bytes: enough for an application to be ahead of short paths by a
	// scheduler's slice.
	initialSendBuffer = 256 << 10

	// initialSegments is how many full segments any sender begins with (RFC 6928): a round that brings no more than that is no reason
	// to grow.
	initialSegments = 10

	// longRound is how many ticks of the timestamps' clock a round trip must have for one of them not to matter.
	longRound = 4

	defaultMaxRecvBuffer = 6 << 20
	defaultMaxSendBuffer = 4 << 20

	maxBuffer = 1 << 30 // what a window can express (RFC 7323 section 2.3)
)

// recvBuffer returns the size in bytes that the receive buffer of a connection begins with.
func (cfg *Config) recvBuffer() uint32 {
	if cfg.RecvBuffer != 0 {
		return cfg.RecvBuffer
	}
	return min(initialRecvBuffer, cfg.MaxRecvBuffer)
}

// sendBuffer returns how many bytes may be written and not acknowledged. By default that is twice the congestion window: as much as it
// lets out, and as much again that is ready when the ACKs of a round trip come.
func (c *Conn) sendBuffer() uint32 {
	if n := c.cfg.SendBuffer; n != 0 {
		return n
	}
	return min(max(2*c.cc.Window(), initialSendBuffer), c.cfg.MaxSendBuffer)
}

// tuning are the measurements of the receive buffer's growth. A round is about a round trip: it is over when the peer answers, by an
// echoed timestamp, what was sent after the round began, so everything in it was sent before that, and is at most what the peer had in
// flight. Without timestamps it is as long as the sending side's estimate.
type tuning struct {
	mark  uint32 // when the present round began: the timestamp sent then, or without timestamps µs of the clock
	from  Seq    // what the application had consumed then
	space uint32 // the most that it consumed in one round so far, bytes
}

// tuneReceive is called after a batch of segments, the last of which was s. At the end of a round the receive buffer grows if the round
// brought more than any before. An application that does not read makes nothing grow.
func (c *Conn) tuneReceive(s *Segment, now clock.Time) {
	r := &c.rcv
	if c.cfg.RecvBuffer != 0 || c.state < StateEstablished || !c.roundOver(s, now) {
		return
	}
	brought := uint32(r.read - r.tuning.from)
	c.beginRound(now)
	if brought <= r.tuning.space {
		return
	}
	// A sender in slow start doubles in each round trip: what the window must hold when it next runs into it is twice twice as much.
	grown := uint64(brought-r.tuning.space) * 2 * uint64(brought) / uint64(max(r.tuning.space, 1))
	want := 2*uint64(brought) + min(grown, 2*uint64(brought)) + plentySegments*uint64(r.mss)
	r.tuning.space = brought
	if want > uint64(r.buffer) {
		r.buffer = uint32(min(want, uint64(max(c.cfg.MaxRecvBuffer, r.buffer))))
	}
}

// roundOver reports whether a round trip has passed since the round began.
func (c *Conn) roundOver(s *Segment, now clock.Time) bool {
	mark := c.rcv.tuning.mark
	if c.is(flagTS) {
		// What was sent before the round began may have its tick: the echo of that counts only when a round trip is many ticks.
		return s.HasTS && (tsLess(mark, s.TSEcr) || s.TSEcr == mark && c.tsValue(now)-mark >= longRound)
	}
	rtt := c.rtt.SRTT()
	if rtt == 0 {
		rtt = initialRTO
	}
	return micros(now)-mark >= uint32(rtt.Microseconds())
}

func micros(t clock.Time) uint32 { return uint32(t / clock.Time(time.Microsecond)) }

// beginRound begins a round.
func (c *Conn) beginRound(now clock.Time) {
	t := &c.rcv.tuning
	t.from, t.mark = c.rcv.read, micros(now)
	if c.is(flagTS) {
		t.mark = c.tsValue(now)
	}
}

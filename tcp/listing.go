package tcp

import "github.com/xdpstack/xdpstack/internal/clock"

// What a listing of all connections shows besides Info and TCPInfo. Walks go place by place, so that whoever walks can stop at any place,
// let the shard go on, and continue there.

// WalkEnd is where a walk goes on that is over.
const WalkEnd = none

// Walk shows the connections in TIME-WAIT among the next n places from place from on, beginning with 0, and returns where the walk goes on,
// or WalkEnd. One that is in TIME-WAIT during the whole of a walk is shown once.
func (t *TimeWaitTable) Walk(from uint32, n int, see func(f Flow, expires clock.Time)) (next uint32) {
	return t.table.walk(from, n, func(s *flowSlot[timeWaitEntry]) { see(s.flow, s.rec.expires) })
}

// HalfOpen is a connection in SYN-RECEIVED that a listener remembers.
type HalfOpen struct {
	Flow  Flow
	Due   clock.Time // when the SYN-ACK is sent again, or the connection given up
	Sends uint8      // how often the SYN-ACK was sent
	MSS   uint16     // the peer's, in bytes
}

// Walk shows the half-open connections, as TimeWaitTable.Walk does those in TIME-WAIT.
func (l *Listener) Walk(from uint32, n int, see func(h HalfOpen)) (next uint32) {
	return l.syns.walk(from, n, func(s *flowSlot[synRecord]) {
		see(HalfOpen{Flow: s.flow, Due: s.rec.due, Sends: s.rec.sends, MSS: s.rec.mss})
	})
}

// Backlog returns how many connections may wait to be taken.
func (l *Listener) Backlog() int { return l.backlog }

// Outstanding returns how many frames of the send queue the connection has: what TCPInfo has to look at.
func (c *Conn) Outstanding() int { return c.snd.queue.Len() }

// Memory returns how many frames the connection holds to be sent or acknowledged, and how many that came out of order. What
// came in order is the application's.
func (c *Conn) Memory() (send, receive int) {
	if c.core == nil {
		return 0, 0
	}
	return c.snd.queue.Len(), c.rare().ooo.Len()
}

// TimerKind is what a timer that runs will do.
type TimerKind uint8

// The kinds, in the words of Linux's ss.
const (
	TimerNone       TimerKind = iota
	TimerRetransmit           // retransmission, tail loss probe, or what SACK shows missing
	TimerKeepAlive            // keep-alive, linger, FIN-WAIT-2
	TimerTimeWait
	TimerPersist // a probe of a closed window
)

// Timer returns the timer that people want to know of, and when it expires: like Linux that of what was sent, or else the one for when
// nothing happens.
func (c *Conn) Timer() (TimerKind, clock.Time) {
	t := &c.timers
	switch {
	case c.core == nil:
		return TimerNone, clock.Never
	case t.rtx != clock.Never && (c.is(flagProbing) || c.outstanding() == 0) && c.state >= StateEstablished:
		return TimerPersist, t.rtx
	case t.rtx != clock.Never || t.loss != clock.Never:
		return TimerRetransmit, min(t.rtx, t.loss)
	case t.slow == clock.Never:
		return TimerNone, clock.Never
	case c.state == StateTimeWait:
		return TimerTimeWait, t.slow
	}
	return TimerKeepAlive, t.slow
}

package observe

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// sendsACK checks the acknowledgement and the window of a segment that the end sends.
func (e *end) sendsACK(o *Observer, s *tcp.Segment) {
	if !e.met {
		o.violated(e.key, "acknowledges %d, and no SYN arrived", s.Ack)
		return
	}
	peer := e.other
	if s.Ack.Greater(e.got.end) {
		o.violated(e.key, "acknowledges %d, only %d arrived", peer.rel(s.Ack), peer.rel(e.got.end))
	}
	if e.acking && s.Ack.Less(e.ack) {
		o.violated(e.key, "acknowledges %d after %d", peer.rel(s.Ack), peer.rel(e.ack))
	}
	shift := uint8(0)
	if s.Flags&tcp.FlagSYN == 0 {
		shift = e.shift()
	}
	edge := s.Ack.Add(uint32(s.Window) << shift)
	back := e.edge.Sub(edge)
	// A scaled window may have to be rounded down, by less than its unit (RFC 7323 section 2.4).
	if e.acking && back >= 1<<shift && (!peer.ended || s.Ack.LessEq(peer.fin)) { // no window matters after the FIN
		o.violated(e.key, "takes its window's right edge back from %d to %d", peer.rel(e.edge), peer.rel(edge))
	}
	if !e.acking || back < 0 {
		e.edge = edge
	}
	e.acking, e.ack = true, s.Ack
	e.owedSoon = 0
	if s.Ack.GreaterEq(e.firm) {
		e.firm, e.waiting, e.owed = s.Ack, 0, 0
	}
}

// sendsSACK checks that the blocks name only what arrived. The first may be a D-SACK: about what was acknowledged already, or
// part of the block after it (RFC 2883 section 4).
func (e *end) sendsSACK(o *Observer, s *tcp.Segment) {
	if s.NumSACK == 0 {
		return
	}
	if !e.both(hasSACK) {
		o.violated(e.key, "sends SACK blocks, and not both ends permitted them")
		return
	}
	for i, b := range s.SACK[:s.NumSACK] {
		switch {
		case !b.Start.Less(b.End):
			o.violated(e.key, "sends an empty SACK block, %d to %d", e.other.rel(b.Start), e.other.rel(b.End))
		case !e.got.has(b.Start, b.End):
			o.violated(e.key, "sends a SACK block of what did not arrive, %d to %d", e.other.rel(b.Start), e.other.rel(b.End))
		case i > 0 && !b.Start.Greater(s.Ack):
			o.violated(e.key, "sends a SACK block, %d to %d, below its acknowledgement of %d",
				e.other.rel(b.Start), e.other.rel(b.End), e.other.rel(s.Ack))
		}
	}
}

// receives takes a segment that arrived at the end.
func (e *end) receives(now clock.Time, s *tcp.Segment) {
	if s.Flags&tcp.FlagRST != 0 {
		e.over()
		return
	}
	peer := e.other
	if peer == nil || !peer.opened {
		return
	}
	if s.Flags&tcp.FlagSYN != 0 && (!e.met || e.got.begin != s.Seq) {
		e.reset = e.reset && s.Flags&tcp.FlagACK != 0 // A SYN begins a new connection.
		e.met, e.got, e.firm, e.newest, e.recent = true, ranges{begin: s.Seq, end: s.Seq + 1}, s.Seq+1, s.TSVal, s.TSVal
		e.waiting, e.owed, e.owedSoon = 0, 0, 0
	}
	if !e.met || e.reset {
		return
	}
	if s.HasTS && int32(s.TSVal-e.newest) > 0 {
		e.newest = s.TSVal
	}
	if s.Flags&tcp.FlagACK != 0 && e.opened {
		window := uint32(s.Window)
		if s.Flags&tcp.FlagSYN == 0 {
			window <<= peer.shift()
		}
		e.nudged = e.nudged || s.NumSACK != 0 || e.told && s.Len() == 0 && s.Ack == e.acked
		if !e.told {
			e.told, e.acked, e.allowed = true, s.Ack, s.Ack.Add(window)
		}
		e.acked = later(e.acked, s.Ack)
		e.allowed = later(e.allowed, s.Ack.Add(window))
	}
	if s.Len() == 0 {
		return
	}
	if s.HasTS && e.both(hasStamps) {
		switch {
		case int32(s.TSVal-e.recent) < 0: // PAWS has it dropped, and answered, though it was only overtaken (RFC 7323 section 5.3).
			e.got.add(s.Seq, s.End())
			if e.told {
				e.soon(now)
			}
			return
		case !e.acking || s.Seq.LessEq(e.ack):
			e.recent = s.TSVal
		}
	}
	e.takes(now, s)
}

// takes notes what a segment with payload or FIN brought, and what the end owes for it.
func (e *end) takes(now clock.Time, s *tcp.Segment) {
	from, to := s.Seq, s.End()
	if s.Flags&tcp.FlagSYN != 0 {
		e.got.add(from+1, to) // What a SYN carries the end need not take: without Fast Open it comes again.
		return                // Its acknowledgement may be data, or nothing at all where nobody listens.
	}
	hole := e.got.broken()
	e.got.add(from, to)
	if !e.opened || !e.told || e.ended && e.acked.Greater(e.fin) {
		return // The end may not exist yet, or not any more.
	}
	switch {
	case from.Greater(e.firm), to.LessEq(e.firm), hole:
		e.soon(now)
	}
	if from.Greater(e.firm) || to.LessEq(e.firm) {
		return
	}
	e.waiting += uint32(to - e.firm)
	e.firm = to
	e.full = max(e.full, s.PayloadLen)
	if e.owed == 0 {
		e.owed = now
	}
	if e.waiting >= 2*e.full && e.full >= tcp.DefaultMSS {
		e.soon(now)
	}
}

func (e *end) soon(now clock.Time) {
	if e.owedSoon == 0 {
		e.owedSoon = now
	}
}

// overdue says which acknowledgement did not come in time.
func (e *end) overdue(o *Observer) {
	late := func(since clock.Time, limit, def time.Duration) bool {
		if limit == 0 {
			limit = def
		}
		return since != 0 && limit > 0 && !e.excused && o.now.Sub(since) > limit
	}
	switch {
	case late(e.owedSoon, o.Prompt, 2*time.Millisecond):
		o.violated(e.key, "has not sent the ACK that was due at once at %v", time.Duration(e.owedSoon))
		e.owedSoon = 0
	case late(e.owed, o.DelayedACK, 500*time.Millisecond):
		o.violated(e.key, "has not acknowledged what arrived at %v", time.Duration(e.owed))
		e.owed = 0
	}
}

package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// TimeWaitRecord is what remains of a connection in TIME-WAIT: enough to acknowledge a FIN that comes again, and to tell a new SYN
// from an old one.
type TimeWaitRecord struct {
	SndNxt   Seq    // beyond the FIN that was sent
	RcvNxt   Seq    // beyond the FIN that was received
	TSRecent uint32 // the peer's last timestamp, if HasTS
	TSOffset uint32 // what is added to the clock in the timestamps that are sent
	Window   uint16 // as on the wire
	HasTS    bool
}

// TimeWaitStats counts what happened in TIME-WAIT.
type TimeWaitStats struct {
	Entered  uint64 `help:"connections that entered TIME-WAIT"`
	Expired  uint64 `help:"connections whose TIME-WAIT ended with its time"`
	Evicted  uint64 `help:"connections whose TIME-WAIT ended early because the table was full"`
	Reopened uint64 `help:"connections whose TIME-WAIT ended with a new SYN (RFC 6191)"`
	Fins     uint64 `help:"FINs that came again, acknowledged; TIME-WAIT began anew"`
	Acks     uint64 `help:"other old segments, acknowledged"`

	DropReset uint64 `help:"dropped: a reset in TIME-WAIT, which must not end it (RFC 1337)"`
	DropAck   uint64 `help:"dropped: an ACK without data in TIME-WAIT"`
}

// timeWaitEntry is a record in the table, with which it takes 64 bytes.
type timeWaitEntry struct {
	expires clock.Time
	TimeWaitRecord
}

// TimeWaitTable is the connections of a shard in TIME-WAIT: no more than its limit, the oldest give way. All of them wait equally
// long, so the queue is in the order in which they expire.
type TimeWaitTable struct {
	core  *Core
	table flowTable[timeWaitEntry]
	queue fifo
	time  time.Duration
}

// DefaultTimeWait is how many connections in TIME-WAIT a shard remembers unless told otherwise: 16 MiB of them.
const DefaultTimeWait = 1 << 18

// NewTimeWaitTable makes a table for limit connections; 0: DefaultTimeWait. How long they wait is Config.TimeWait.
func NewTimeWaitTable(k *Core, limit int) *TimeWaitTable {
	if limit <= 0 {
		limit = DefaultTimeWait
	}
	t := &TimeWaitTable{core: k, table: newFlowTable[timeWaitEntry](&k.Keys, k.Marks, limit), time: k.Config.TimeWait}
	t.queue.init()
	return t
}

// Add puts a connection into TIME-WAIT.
func (t *TimeWaitTable) Add(f Flow, rec TimeWaitRecord, now clock.Time) {
	if i := t.table.find(f); i != none {
		t.drop(i)
	}
	i := t.table.add(f)
	if i == none {
		t.drop(t.queue.head)
		t.core.Stats.TimeWait.Evicted++
		i = t.table.add(f)
	}
	t.table.at(i).rec = timeWaitEntry{expires: now.Add(t.time), TimeWaitRecord: rec}
	t.table.push(&t.queue, i)
	t.core.Stats.TimeWait.Entered++
}

// Has reports whether the flow is in TIME-WAIT.
func (t *TimeWaitTable) Has(f Flow) bool { return t.table.find(f) != none }

// Len returns how many connections are in TIME-WAIT.
func (t *TimeWaitTable) Len() int { return t.table.n }

// Remove ends a flow's TIME-WAIT, if it is in it: this side opens the flow anew.
func (t *TimeWaitTable) Remove(f Flow) {
	if i := t.table.find(f); i != none {
		t.drop(i)
	}
}

// Unmark takes the marks of all connections in TIME-WAIT away (Core.Marks), for good: nothing will answer for them any more.
func (t *TimeWaitTable) Unmark() { t.table.unmark() }

// Deadline returns when Expire has something to do, or clock.Never.
func (t *TimeWaitTable) Deadline() clock.Time {
	if t.queue.head == none {
		return clock.Never
	}
	return t.table.at(t.queue.head).rec.expires
}

// Expire forgets the connections whose time is over.
func (t *TimeWaitTable) Expire(now clock.Time) {
	for t.queue.head != none && t.table.at(t.queue.head).rec.expires <= now {
		t.drop(t.queue.head)
		t.core.Stats.TimeWait.Expired++
	}
}

func (t *TimeWaitTable) drop(i uint32) {
	t.table.unlink(&t.queue, i)
	t.table.remove(i)
}

// Input takes a segment if its flow is in TIME-WAIT, and reports whether it is. The verdicts are VerdictDrop, VerdictReply and, if
// somebody listens on the flow's port, VerdictReopen: the record is gone then, and out.Seq the least initial number for the new
// connection, for Listener.Reopen.
func (t *TimeWaitTable) Input(f Flow, s *Segment, listens bool, now clock.Time, out *OutSegment) (found bool, v Verdict) {
	i := t.table.find(f)
	if i == none {
		return false, VerdictDrop
	}
	r := &t.table.at(i).rec
	stats := &t.core.Stats.TimeWait
	switch {
	case s.Has(FlagRST): // a reset is no reason to forget: RFC 1337 section 3
		stats.DropReset++
		return true, VerdictDrop
	case listens && s.Flags&(FlagSYN|FlagACK) == FlagSYN && r.reopens(s, t.core.Config.NoTimestamps):
		stats.Reopened++
		out.Clear()
		out.Seq = r.SndNxt.Add(reopenGap)
		t.drop(i)
		return true, VerdictReopen
	case s.Len() == 0: // to answer an ACK with an ACK would have two closed ends talk for ever
		stats.DropAck++
		return true, VerdictDrop
	case s.Has(FlagFIN) && s.End() == r.RcvNxt && !r.old(s):
		t.restart(i, s, now)
		stats.Fins++
	default:
		if !t.core.challenge(now) {
			return true, VerdictDrop
		}
		stats.Acks++
	}
	r.ack(now, out)
	return true, VerdictReply
}

// reopenGap is how far beyond the old connection's last number the new one's begin: more than a window without scaling, so that
// no old segment falls into the new window.
const reopenGap = 1<<16 + 1

// reopens reports whether a SYN is newer than the connection, rather than a duplicate from it or before it (RFC 6191 section 2).
func (r *timeWaitEntry) reopens(s *Segment, noTimestamps bool) bool {
	ts := s.HasTS && !noTimestamps // the new connection would have timestamps
	switch {
	case r.HasTS && ts && s.TSVal != r.TSRecent:
		return tsLess(r.TSRecent, s.TSVal)
	case !r.HasTS && ts:
		return true // what the old connection sent has no timestamp, and the new one refuses that
	}
	return s.Seq.GreaterEq(r.RcvNxt)
}

// old reports whether a segment's timestamp is before the last (RFC 7323 section 5).
func (r *timeWaitEntry) old(s *Segment) bool {
	return r.HasTS && s.HasTS && tsLess(s.TSVal, r.TSRecent)
}

// restart begins the wait of record i anew: the peer did not get the last ACK.
func (t *TimeWaitTable) restart(i uint32, s *Segment, now clock.Time) {
	r := &t.table.at(i).rec
	r.expires = now.Add(t.time)
	if r.HasTS && s.HasTS {
		r.TSRecent = s.TSVal
	}
	t.table.unlink(&t.queue, i)
	t.table.push(&t.queue, i)
}

// ack makes the last ACK again.
func (r *timeWaitEntry) ack(now clock.Time, out *OutSegment) {
	out.Clear()
	out.Seq, out.Ack, out.Flags, out.Window = r.SndNxt, r.RcvNxt, FlagACK, r.Window
	if r.HasTS {
		out.HasTS, out.TSVal, out.TSEcr = true, now.Millis()+r.TSOffset, r.TSRecent
	}
}

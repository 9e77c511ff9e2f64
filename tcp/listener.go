package tcp

import (
	"fmt"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Verdict says what the caller of Listener.Input or TimeWaitTable.Input is to do with the segment.
type Verdict uint8

// The verdicts.
const (
	VerdictDrop   Verdict = iota // nothing
	VerdictReply                 // send out
	VerdictReset                 // send out, which is a reset
	VerdictAccept                // a connection is open: Conn.Accept with Listener.Accepted, then Enqueue the segment
	VerdictReopen                // TIME-WAIT is over, for this SYN begins anew: Listener.Reopen with out.Seq
)

// CookieMode says when a listener answers with SYN cookies.
type CookieMode uint8

// The modes.
const (
	CookiesAuto   CookieMode = iota // when three quarters of the half-open records are used
	CookiesAlways                   // never keep a record
	CookiesNever                    // when the records are used up, drop SYNs
)

// ListenerConfig says how a Listener behaves. A zero field means the default that is given with it.
type ListenerConfig struct {
	Backlog    int        // connections that are established and not yet taken, at most; default 4096
	SynBacklog int        // half-open connections that are remembered, at most, 64 bytes each; default 16384
	Cookies    CookieMode // default CookiesAuto

	// FastOpenBacklog is how many connections of the shard may be open before their handshake is complete for this listener to open
	// another so, if Config.FastOpen has it do that at all; default DefaultFastOpenBacklog.
	FastOpenBacklog int

	Config *Config // of the connections, from Core.NewConfig; default the Core's
}

// ListenStats counts what the listeners of a shard did.
type ListenStats struct {
	Syns               uint64 `help:"SYNs that opened a half-open connection or were answered with a cookie"`
	DuplicateSyns      uint64 `help:"SYNs of a connection half open already, answered with the same SYN-ACK"`
	SynAckRetransmits  uint64 `help:"SYN-ACKs sent again because no answer came"`
	SynAckTimeouts     uint64 `help:"half-open connections given up: no answer to any SYN-ACK"`
	Accepted           uint64 `help:"handshakes completed, those with cookies included"`
	CookiesSent        uint64 `help:"SYNs answered with a cookie"`
	CookiesAccepted    uint64 `help:"handshakes completed with a cookie"`
	CookiesRejected    uint64 `help:"ACKs, while cookies were out, whose number is no valid cookie, answered with a reset"`
	HalfOpenResets     uint64 `help:"half-open connections that the peer reset"`
	DeferredAcks       uint64 `help:"ACKs without data of a handshake, not used because data is waited for (Config.DeferAccept)"`
	BadHandshakeAcks   uint64 `help:"ACKs of a half-open connection for what was not sent, answered with a reset"`
	FastOpens          uint64 `help:"connections opened by a SYN with a valid Fast Open cookie (RFC 7413)"`
	FastOpenRequests   uint64 `help:"SYNs that asked for a Fast Open cookie and got it"`
	FastOpenBadCookies uint64 `help:"SYNs with an invalid Fast Open cookie: an ordinary handshake, with a new cookie"`
	FastOpenFull       uint64 `help:"SYNs with a valid Fast Open cookie when too many opened early: an ordinary handshake"`
	FastOpenPressure   uint64 `help:"SYNs with a Fast Open option answered with a SYN cookie instead"`
	UnexpectedAcks     uint64 `help:"ACKs of no connection, answered with a reset"`
	OutsideWindow      uint64 `help:"segments of a half-open connection outside its window or with an old timestamp, answered with an ACK"`

	DropBacklogFull      uint64 `help:"dropped: a SYN while the backlog is full"`
	DropAckBacklogFull   uint64 `help:"dropped: an ACK that would complete a handshake while the backlog is full; a SYN-ACK will ask again"`
	DropSynTableFull     uint64 `help:"dropped: a SYN while all half-open records are used and cookies are off"`
	DropSynFin           uint64 `help:"dropped: SYN and FIN in one segment"`
	DropNoFlags          uint64 `help:"dropped: neither SYN, ACK nor RST"`
	DropReset            uint64 `help:"dropped: a reset of no connection, or outside the window of a half-open one"`
	DropResetChallenged  uint64 `help:"dropped: a reset in a half-open connection's window, not at its edge: challenged (RFC 5961)"`
	DropNotListening     uint64 `help:"dropped: a segment for a listener that was closed"`
	DropUnfinishedClosed uint64 `help:"half-open connections forgotten because the listener was closed"`
}

// Listener is the passive opens of one port on one shard. It answers SYNs and completes handshakes on its own; a connection comes
// into being only when VerdictAccept says so. What strangers can make it remember is bounded: past that it answers with cookies.
//
//	SYN ──► record, SYN-ACK ──► ACK with the right numbers ──► VerdictAccept
//	          │      ▲ │                                            ▲
//	          │      └─┘ again after 1, 2, 4 … s, 5 times           │
//	          └ too many: cookie in SYN-ACK ──► ACK with a valid cookie
type Listener struct {
	core     *Core
	cfg      *Config
	syns     synCache
	accepted Accepted
	cookies  CookieMode
	closed   bool

	backlog int // how many connections may wait to be taken
	waiting int // how many do

	deferRounds uint8 // how many SYN-ACKs may be due until a connection without data is accepted

	fastOpenBacklog int // how many connections of the shard may open before their handshake is complete; 0: no Fast Open

	cookiesUntil clock.Time // when the last cookie that was sent loses its validity
}

// NewListener makes a listener of a shard.
func NewListener(k *Core, cfg ListenerConfig) (*Listener, error) {
	setDefault(&cfg.Backlog, 4096)
	setDefault(&cfg.SynBacklog, 16384)
	setDefault(&cfg.Config, &k.Config)
	setDefault(&cfg.FastOpenBacklog, DefaultFastOpenBacklog)
	if cfg.Backlog < 0 || cfg.SynBacklog < 0 || cfg.SynBacklog > 1<<24 || cfg.Cookies > CookiesNever {
		return nil, fmt.Errorf("%w: backlog %d, half-open backlog %d (at most 2^24), cookie mode %d",
			ErrConfig, cfg.Backlog, cfg.SynBacklog, cfg.Cookies)
	}
	if cfg.Config.FastOpen&FastOpenServer == 0 {
		cfg.FastOpenBacklog = 0
	}
	return &Listener{
		core: k, cfg: cfg.Config, syns: newSynCache(k, cfg.SynBacklog), cookies: cfg.Cookies, backlog: cfg.Backlog,
		fastOpenBacklog: cfg.FastOpenBacklog, deferRounds: deferRounds(cfg.Config.DeferAccept),
	}, nil
}

// Input takes a segment of a flow that has no connection. The segment is Parse's; out is filled in when the verdict says so.
func (l *Listener) Input(f Flow, s *Segment, now clock.Time, out *OutSegment) Verdict {
	if l.closed {
		l.stats().DropNotListening++
		return VerdictDrop
	}
	if i := l.syns.find(f); i != none {
		return l.halfOpen(i, s, now, out)
	}
	switch {
	case s.Has(FlagRST):
		l.stats().DropReset++
		return VerdictDrop
	case s.Has(FlagACK):
		return l.strayACK(f, s, now, out)
	case s.Has(FlagSYN):
		return l.open(f, s, l.core.Keys.ISN(f, now), false, now, out)
	}
	l.stats().DropNoFlags++
	return VerdictDrop
}

// Reopen takes a SYN for which the flow's TIME-WAIT was ended; iss is the least initial number that lies beyond the old connection's
// (RFC 9293 section 3.6.1, RFC 6191).
func (l *Listener) Reopen(f Flow, s *Segment, iss Seq, now clock.Time, out *OutSegment) Verdict {
	if l.closed || l.syns.find(f) != none {
		return l.Input(f, s, now, out)
	}
	if isn := l.core.Keys.ISN(f, now); isn.Greater(iss) {
		iss = isn
	}
	return l.open(f, s, iss, true, now, out)
}

// Accepted returns what the handshake that completed last agreed on: valid after VerdictAccept until the next Input.
func (l *Listener) Accepted() *Accepted { return &l.accepted }

// Taken notes that the application took a connection from the backlog, or that one ended there.
func (l *Listener) Taken() { l.waiting = max(l.waiting-1, 0) }

// SetFastOpen lets a SYN open a connection with a Fast Open cookie while no more than so many of the shard are open before their
// handshake is complete; 0: not at all.
func (l *Listener) SetFastOpen(backlog int) { l.fastOpenBacklog = max(backlog, 0) }

// SynCount returns how many half-open connections are remembered.
func (l *Listener) SynCount() int { return l.syns.n }

// HasHalfOpen reports whether a flow's half-open connection is remembered.
func (l *Listener) HasHalfOpen(f Flow) bool { return l.syns.find(f) != none }

// Waiting returns how many connections were accepted and not yet taken.
func (l *Listener) Waiting() int { return l.waiting }

// Deadline returns when Expire and NextOutput have something to do, or clock.Never.
func (l *Listener) Deadline() clock.Time { return l.syns.deadline() }

// Expire forgets the half-open connections that never answered.
func (l *Listener) Expire(now clock.Time) {
	l.stats().SynAckTimeouts += uint64(l.syns.expire(now))
}

// NextOutput fills in the next SYN-ACK that is due again, and its flow, or reports false.
func (l *Listener) NextOutput(now clock.Time, f *Flow, out *OutSegment) bool {
	for i := l.syns.due(now); i != none; i = l.syns.due(now) {
		l.syns.wait(i, now)
		x := l.syns.at(i)
		if x.rec.acked != 0 && x.rec.sends <= l.deferRounds {
			continue // The peer knows all that the SYN-ACK says: it is only asked for data when the time is over.
		}
		l.stats().SynAckRetransmits++
		*f = x.flow
		l.synAck(i, now, out)
		return true
	}
	return false
}

// Close forgets everything. Peers whose handshake is under way are answered as by a port on which nobody listens.
func (l *Listener) Close() {
	l.stats().DropUnfinishedClosed += uint64(l.syns.n)
	l.syns.unmark()
	l.syns = newSynCache(l.core, 0)
	l.closed, l.cookiesUntil, l.waiting = true, 0, 0
}

func (l *Listener) stats() *ListenStats { return &l.core.Stats.Listen }

// window returns what a SYN-ACK offers, in bytes: a SYN's window is never scaled (RFC 7323 section 2.2).
func (l *Listener) window(budget uint32) uint16 {
	return uint16(min(l.cfg.recvBuffer(), max(budget, floorSegments*uint32(l.cfg.MSS)), 1<<16-1))
}

package stack

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// ConnKinds is a set of kinds of what Connections shows.
type ConnKinds uint8

// The kinds.
const (
	KindConn     ConnKinds = 1 << iota // TCP connections, from SYN-SENT or the end of the handshake on
	KindHalfOpen                       // those that a listener remembers until their handshake is complete
	KindTimeWait                       // what remains of connections in TIME-WAIT
	KindListener                       // TCP ports that are listened on
	KindUDP                            // UDP ports

	kindAll = KindUDP<<1 - 1
)

// ConnInfo is a TCP connection, what is remembered before and after it, or a port, as a list of them shows it. What is not said of a kind
// is zero.
type ConnInfo struct {
	Kind  ConnKinds // one
	State tcp.State // of UDP: ESTABLISHED if the socket was dialed, else CLOSED
	// Local is this end. A port of all addresses has the unspecified one.
	Local netip.AddrPort
	// Remote is the peer; invalid if there is none.
	Remote netip.AddrPort
	Shard  int    // -1: all of them
	ID     uint32 // of a connection, on its shard: another's after its end

	// RecvQueue is how many bytes the application has not read, and SendQueue how many it has written that are not acknowledged. Of a
	// listener they are the connections that it has not taken, and how many may wait for that.
	RecvQueue, SendQueue int
	HalfOpen             int // of a listener: connections whose handshake is not complete

	Timer   tcp.TimerKind
	Expires time.Duration // until then
	Retries int           // times that the same was sent without an answer

	Handler                 string // type of what handles it
	SendFrames, OrderFrames int    // frames that hold what is to be acknowledged, and what came out of order

	Info    tcp.Info    // of a connection
	TCPInfo tcp.TCPInfo // the same with ConnQuery.TCPInfo
}

// ConnQuery says what Connections is to show.
type ConnQuery struct {
	Kinds ConnKinds // default all
	// Filter chooses; default all. It is called on the shards' goroutines and the caller's, never on two at once, has everything but
	// TCPInfo, and must not block or keep what it gets.
	Filter func(*ConnInfo) bool
	// TCPInfo has that filled in, which takes a look at everything that a connection has in flight.
	TCPInfo bool
}

// What a turn of a shard spends on listings: as many connections as it takes packets by default, which costs about as much. Memory of
// connections that are not in use is looked at too, and costs less.
const (
	listBudget = 64 * listConn
	listConn   = 16 // for a connection, and one more for each of its frames with TCPInfo
	listFree   = 1
)

// listing is what listings have cost the shard in its present turn.
type listing struct {
	turn uint64
	work int
}

// Connections shows the stack's connections and ports, in no order. It can be called from any goroutine that is no shard's. The shards are
// asked for a few at a time, at most 64 in a turn, and go on in between: so it is no picture of one moment, and a connection that changes
// its kind meanwhile may be shown twice or not at all. What does not change is shown once. Memory does not depend on how many there
// are. The error, if there is one, comes last: ctx is done, or the stack was closed.
func (s *Stack) Connections(ctx context.Context, q ConnQuery) iter.Seq2[ConnInfo, error] {
	if q.Kinds == 0 {
		q.Kinds = kindAll
	}
	return func(yield func(ConnInfo, error) bool) {
		l := lister{ctx: ctx, stack: s, query: q, yield: yield}
		if err := l.walk(); err != nil && !l.stopped {
			yield(ConnInfo{}, err)
		}
	}
}

// lister is one call of Connections.
type lister struct {
	ctx     context.Context
	stack   *Stack
	query   ConnQuery
	yield   func(ConnInfo, error) bool
	stopped bool       // yield has had enough
	found   []ConnInfo // in the present turn
}

// errStopped ends a walk that nobody wants any more.
var errStopped = fmt.Errorf("stack: the listing was stopped")

func (l *lister) walk() error {
	if err := l.ports(); err != nil {
		return err
	}
	listeners := l.endpoints(&l.stack.tcpPorts)
	for _, sh := range l.stack.shards {
		if l.query.Kinds&KindConn != 0 {
			if err := l.each(sh, (*Shard).listConns); err != nil {
				return err
			}
		}
		if l.query.Kinds&KindHalfOpen != 0 {
			for _, at := range listeners {
				if err := l.each(sh, at.listHalfOpen); err != nil {
					return err
				}
			}
		}
		if l.query.Kinds&KindTimeWait != 0 {
			if err := l.each(sh, (*Shard).listTimeWait); err != nil {
				return err
			}
		}
	}
	return nil
}

// each asks a shard for slice after slice, and passes on what it finds.
func (l *lister) each(sh *Shard, slice func(sh *Shard, l *lister, from uint32) (next uint32)) error {
	for from := uint32(0); from != tcp.WalkEnd; {
		if err := l.ask(sh, func(sh *Shard) { from = slice(sh, l, from) }); err != nil {
			return err
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
	return nil
}

// ask runs fn on a shard, in a turn in which listings have not cost too much yet.
func (l *lister) ask(sh *Shard, fn func(*Shard)) error {
	for done := false; !done; {
		if err := l.ctx.Err(); err != nil {
			return context.Cause(l.ctx)
		}
		if !sh.call(func(sh *Shard) {
			if done = sh.mayList(); done {
				fn(sh)
			}
		}) {
			return errClosed
		}
	}
	return nil
}

// flush passes on what was found.
func (l *lister) flush() error {
	for i := range l.found {
		if !l.yield(l.found[i], nil) {
			l.stopped = true
			return errStopped
		}
	}
	l.found = l.found[:0]
	return nil
}

// add shows what the filter lets through, and reports whether it did.
func (l *lister) add(c *ConnInfo) bool {
	if l.query.Filter != nil && !l.query.Filter(c) {
		return false
	}
	l.found = append(l.found, *c)
	return true
}

// mayList begins a part of a listing, if the present turn has work to spare for it. A shard that was not started takes no turns of its
// own.
func (s *Shard) mayList() bool {
	if t := &s.listing; t.turn != s.stats.Steps || !s.stack.started.Load() {
		t.turn, t.work = s.stats.Steps, 0
	}
	return s.listing.work < listBudget
}

// listed counts what a listing costs, and reports whether it may go on in this turn.
func (s *Shard) listed(work int) bool {
	s.listing.work += work
	return s.listing.work < listBudget
}

// listConns finds connections from number from on.
func (s *Shard) listConns(l *lister, from uint32) (next uint32) {
	for n := uint32(s.conns.size()); from < n; from++ {
		c := s.conns.at(from)
		work := listFree
		if c.is(connOpen) {
			s.stats.Listed++
			work = listConn + s.listConn(l, c)
		}
		if !s.listed(work) {
			return from + 1
		}
	}
	return tcp.WalkEnd
}

// listConn finds a connection, and returns how many frames were looked at.
func (s *Shard) listConn(l *lister, c *Conn) (work int) {
	info := ConnInfo{Kind: KindConn, Shard: s.id, ID: c.id}
	c.describe(&info)
	if l.add(&info) && l.query.TCPInfo {
		l.found[len(l.found)-1].TCPInfo = c.TCPInfo()
		return c.tcp.Outstanding()
	}
	return 0
}

// describe fills in everything but TCPInfo.
func (c *Conn) describe(i *ConnInfo) {
	t := &c.tcp
	i.Info = t.Info()
	i.State, i.Local, i.Remote = t.State(), c.LocalAddr(), c.RemoteAddr()
	i.RecvQueue, i.SendQueue, i.Retries = int(i.Info.Unread), i.Info.Unacked+i.Info.Unsent, int(i.Info.Retries)
	i.SendFrames, i.OrderFrames = t.Memory()
	i.Handler = typeName(c.handler())
	var at clock.Time
	if i.Timer, at = t.Timer(); i.Timer != tcp.TimerNone {
		i.Expires = max(at.Sub(c.shard.now), 0)
	}
}

// listTimeWait finds records of TIME-WAIT from place from on.
func (s *Shard) listTimeWait(l *lister, from uint32) (next uint32) {
	n := (listBudget - s.listing.work + listConn - 1) / listConn
	s.listed(n * listConn)
	return s.timeWait.Walk(from, n, func(f tcp.Flow, expires clock.Time) {
		s.stats.Listed++
		l.add(&ConnInfo{
			Kind: KindTimeWait, State: tcp.StateTimeWait, Local: f.Local(), Remote: f.Remote(), Shard: s.id,
			Timer: tcp.TimerTimeWait, Expires: max(expires.Sub(s.now), 0),
		})
	})
}

// listHalfOpen finds half-open connections of the listener of an endpoint from place from on.
func (e endpoint) listHalfOpen(s *Shard, l *lister, from uint32) (next uint32) {
	ln := s.listenerAt(e.addr, e.port)
	if ln == nil {
		return tcp.WalkEnd // It was closed.
	}
	n := (listBudget - s.listing.work + listConn - 1) / listConn
	s.listed(n * listConn)
	return ln.tcp.Walk(from, n, func(h tcp.HalfOpen) {
		s.stats.Listed++
		l.add(&ConnInfo{
			Kind: KindHalfOpen, State: tcp.StateSynReceived, Local: h.Flow.Local(), Remote: h.Flow.Remote(), Shard: s.id,
			Timer: tcp.TimerRetransmit, Expires: max(h.Due.Sub(s.now), 0), Retries: int(h.Sends) - 1, Handler: ln.handles(),
		})
	})
}

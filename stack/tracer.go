package stack

import (
	"slices"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// tracer is what a shard has while there are traces. The tcp package knows nothing of them: what happened in a turn of a connection is
// seen by what it is like before and after, and by what the shard's counters of losses have counted meanwhile, which no other connection
// can have.
type tracer struct {
	shard  *Shard
	traces []*Trace
	conns  map[uint32][]*traced // by number of the connection
	marked *Conn                // the connection whose turn it is
	counts traceCounts          // as they were before
}

// traced is a connection in a trace.
type traced struct {
	trace *Trace
	conn  *Conn
	event TraceEvent // the last, with what the connection was like

	sampledAt  clock.Time
	idleSince  clock.Time // everything was sent and acknowledged; 0: it is not so
	sendShut   clock.Time // the peer's window is closed since; 0: it is not
	recvShut   clock.Time // this end's
	everOpened bool       // it was ESTABLISHED: windows mean something
	wrote      bool       // it has sent something
}

// traceCounts are the counters that tell of causes.
type traceCounts [len(traceCauses)]uint64

// traceCauses are the counters of a shard that are events of the connection in whose turn they count, in the order in which they are told.
var traceCauses = [...]struct {
	kind TraceKind
	of   func(*tcp.Stats) uint64
}{
	{TraceMark, func(s *tcp.Stats) uint64 { return s.CEIn }},
	{TraceDSACK, func(s *tcp.Stats) uint64 { return s.DSACKsIn }},
	{TraceUndo, func(s *tcp.Stats) uint64 { return s.SpuriousTimeouts + s.SpuriousRecoveries }},
	{TraceTailLoss, func(s *tcp.Stats) uint64 { return s.TailLosses }},
	{TraceTimeout, func(s *tcp.Stats) uint64 { return s.Timeouts }},
	{TraceFastRecovery, func(s *tcp.Stats) uint64 { return s.FastRecoveries }},
	{TraceLostAgain, func(s *tcp.Stats) uint64 { return s.LostRetransmits }},
	{TraceTailProbe, func(s *tcp.Stats) uint64 { return s.TailProbes }},
	{TraceMarked, func(s *tcp.Stats) uint64 { return s.ECEReductions }},
	{TraceMTU, func(s *tcp.Stats) uint64 { return s.PathMTUReductions + s.PathMTUBlackHoles }},
	{TraceProbe, func(s *tcp.Stats) uint64 { return s.WindowProbes + s.KeepAlives }},
}

func (c *traceCounts) take(s *tcp.Stats) {
	for i := range traceCauses {
		c[i] = traceCauses[i].of(s)
	}
}

// traceFrom has a trace get the connections that are opened from now on.
func (s *Shard) traceFrom(t *Trace) {
	if s.tracer == nil {
		s.tracer = &tracer{shard: s, conns: make(map[uint32][]*traced)}
	}
	s.tracer.traces = append(s.tracer.traces, t)
}

// traceNoMore ends a trace on the shard. After the last one a turn costs what it did before.
func (s *Shard) traceNoMore(t *Trace) {
	r := s.tracer
	if r == nil { // the shard had stopped before
		return
	}
	for id, list := range r.conns {
		list = slices.DeleteFunc(list, func(c *traced) bool { return c.trace == t })
		if r.conns[id] = list; len(list) == 0 {
			delete(r.conns, id)
		}
	}
	r.traces = slices.DeleteFunc(r.traces, func(o *Trace) bool { return o == t })
	if len(r.traces) == 0 {
		s.tracer = nil
	}
}

// begin traces a connection, unless the trace has it, or as many as it may.
func (r *tracer) begin(t *Trace, c *Conn) {
	for _, k := range r.conns[c.id] {
		if k.trace == t {
			return
		}
	}
	n := t.conns.Add(1)
	if int(n) > t.cfg.Conns {
		t.conns.Add(-1)
		return
	}
	k := &traced{trace: t, conn: c}
	k.event = TraceEvent{Conn: int(n), Flow: c.tcp.Flow(), State: c.tcp.State(), Kind: TraceBegin}
	r.conns[c.id] = append(r.conns[c.id], k)
	k.fill(r.shard.now)
	k.stalled(r.shard.now)
	k.tell(TraceBegin)
}

// opened looks whether somebody wants a new connection. It has its addresses and nothing else yet.
func (r *tracer) opened(c *Conn) {
	for _, t := range r.traces {
		if int(t.conns.Load()) < t.cfg.Conns && t.cfg.Match(c.tcp.Flow()) {
			r.begin(t, c)
		}
	}
}

// runTraced is runConn while there are traces.
func (s *Shard) runTraced(c *Conn) (progress, starved bool) {
	if s.tracer.conns[c.id] == nil {
		return s.runConn(c)
	}
	s.tracer.mark(c)
	progress, starved = s.runConn(c)
	if s.tracer != nil {
		s.tracer.look()
	}
	return progress, starved
}

// expireTraced has a connection's timers expire while there are traces.
func (s *Shard) expireTraced(c *Conn) {
	if s.tracer.conns[c.id] == nil {
		c.tcp.Expire(s.now)
		return
	}
	s.tracer.mark(c)
	c.tcp.Expire(s.now)
	s.tracer.look()
}

// mark begins a turn of a traced connection.
func (r *tracer) mark(c *Conn) {
	r.marked = c
	r.counts.take(&r.shard.core.Stats)
}

// look tells what the turn brought, unless the connection has ended in it.
func (r *tracer) look() {
	c := r.marked
	r.marked = nil
	if c == nil {
		return
	}
	var now traceCounts
	now.take(&r.shard.core.Stats)
	for _, k := range r.conns[c.id] {
		k.look(&r.counts, &now, r.shard.now)
	}
	r.shard.woke = true // who reads may run
}

// ended tells of a connection's end, with what its last turn brought.
func (r *tracer) ended(c *Conn, err error) {
	list := r.conns[c.id]
	if list == nil {
		return
	}
	if r.marked == c {
		r.look()
	}
	delete(r.conns, c.id)
	for _, k := range list {
		k.fill(r.shard.now)
		k.event.Err = err
		k.tell(TraceEnd)
	}
}

// fill notes what the connection is like, and returns what it was like before.
func (k *traced) fill(now clock.Time) (before TraceEvent) {
	before = k.event
	i := k.conn.tcp.Info()
	e := &k.event
	e.Time, e.State, e.N, e.For = now, i.State, 0, 0
	e.CWnd, e.SSThresh, e.InFlight, e.Unsent, e.Unread = i.CWnd, i.SSThresh, i.InFlight, uint32(i.Unsent), i.Unread
	// What is less than the scale can say is a closed window to the peer.
	i.RecvWindow = i.RecvWindow >> i.RecvScale << i.RecvScale
	e.SendWindow, e.RecvWindow, e.MSS, e.SRTT, e.RTO = i.SendWindow, i.RecvWindow, i.SendMSS, i.RTT, i.RTO
	e.Resent, e.Acked, e.Received = i.Resent, i.BytesAcked, i.BytesReceived
	return before
}

func (k *traced) tell(kind TraceKind) {
	k.event.Kind = kind
	k.trace.send(&k.event)
	k.event.N, k.event.For = 0, 0
	k.sampledAt = k.event.Time
}

// look compares what the connection is like with what it was, and tells what happened.
func (k *traced) look(before, after *traceCounts, now clock.Time) {
	was := k.fill(now)
	e := &k.event
	if e.State != was.State {
		e.From = was.State
		k.tell(TraceState)
		k.everOpened = k.everOpened || e.State == tcp.StateEstablished
	}
	k.everOpened = k.everOpened || e.State >= tcp.StateEstablished
	k.stalled(now)
	for i := range traceCauses {
		if n := after[i] - before[i]; n != 0 {
			e.N = n
			k.tell(traceCauses[i].kind)
		}
	}
	if n := e.Resent - was.Resent; n != 0 {
		e.N = uint64(n)
		k.tell(TraceRetransmit)
	}
	if k.everOpened && e.State < tcp.StateClosing {
		k.window(&k.sendShut, e.SendWindow, TraceWindowClosed, TraceWindowOpen, now)
		k.window(&k.recvShut, e.RecvWindow, TraceReceiveClosed, TraceReceiveOpen, now)
	}
	if now.Sub(k.sampledAt) >= k.trace.cfg.Interval {
		k.tell(TraceSample)
	}
}

// stalled tells when the application writes again after it had nothing to send for a while.
func (k *traced) stalled(now clock.Time) {
	e := &k.event
	k.wrote = k.wrote || e.Unsent != 0 || e.InFlight != 0 || e.Acked != 0
	switch idle := e.InFlight == 0 && e.Unsent == 0; {
	case idle && k.idleSince == 0 && k.wrote:
		k.idleSince = now
	case !idle && k.idleSince != 0:
		if e.For = now.Sub(k.idleSince); e.For >= stallTime {
			k.tell(TraceStall)
		}
		e.For, k.idleSince = 0, 0
	}
}

// window tells when a window closes and opens.
func (k *traced) window(since *clock.Time, bytes uint32, closed, open TraceKind, now clock.Time) {
	switch {
	case bytes == 0 && *since == 0:
		*since = now
		k.tell(closed)
	case bytes != 0 && *since != 0:
		k.event.For = now.Sub(*since)
		*since = 0
		k.tell(open)
	}
}

package stack

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// TraceKind says what a TraceEvent tells.
type TraceKind uint8

// The kinds.
const (
	TraceBegin         TraceKind = iota // the connection is traced from now on
	TraceState                          // From is the state before
	TraceSample                         // nothing but what the event says of the connection
	TraceTimeout                        // the retransmission timer expired
	TraceFastRecovery                   // duplicate ACKs, SACK or RACK showed a loss
	TraceLostAgain                      // something that was sent again was lost too
	TraceTailProbe                      // a tail loss probe was sent
	TraceTailLoss                       // it repaired a loss
	TraceRetransmit                     // N segments were sent again
	TraceUndo                           // a timeout or a recovery was superfluous, and taken back
	TraceDSACK                          // the peer got something twice
	TraceMark                           // N segments came that a router had marked
	TraceMarked                         // the window was reduced for marks on what was sent
	TraceMTU                            // the segments became smaller for the path's sake
	TraceProbe                          // a closed window, or a silent peer, was probed
	TraceWindowClosed                   // the peer's window is closed
	TraceWindowOpen                     // it is open again, after For
	TraceReceiveClosed                  // this end's window is closed: the application does not read
	TraceReceiveOpen                    // it is open again, after For
	TraceStall                          // for For, everything was sent and acknowledged and the application wrote nothing
	TraceEnd                            // the connection ended, or left a record in TIME-WAIT; Err says why
)

// TraceEvent is something that happened to a traced connection, and how the connection was after the turn in which it did.
type TraceEvent struct {
	Time  clock.Time
	Kind  TraceKind
	Conn  int // number of the connection in the trace, from 1
	Flow  tcp.Flow
	State tcp.State
	From  tcp.State
	N     uint64
	For   time.Duration
	Err   error

	CWnd, SSThresh, InFlight, Unsent, Unread, SendWindow, RecvWindow uint32 // bytes
	MSS                                                              uint16
	SRTT, RTO                                                        time.Duration
	Resent                                                           uint32 // segments sent again so far
	Acked, Received                                                  uint64 // bytes so far
}

// TraceConfig says what is traced.
type TraceConfig struct {
	// Match chooses connections, those that are open first, then such as are opened later. It is called on the shards and must not block.
	Match func(f tcp.Flow) bool
	// Conns is how many connections are traced, at most MaxTraceConns; default 1.
	Conns int
	// Interval is the time between two samples of a connection that something happens to, at least; default 10 ms.
	Interval time.Duration
	// Buffer is how many events wait to be read, at most; default 8192. What there is no room for is counted.
	Buffer int
}

// Bounds of tracing.
const (
	MaxTraceConns = 1024
	maxTraces     = 16
)

// ErrTooManyTraces means that there are as many traces as there may be.
var ErrTooManyTraces = fmt.Errorf("stack: %d traces run already: end one", maxTraces)

// stallTime is how long an application writes nothing before that is worth an event.
const stallTime = 10 * time.Millisecond

// Trace is a trace that runs. It costs the connections that it is about a look before and after each of their turns, and others nothing but
// a look in a small table; without any trace there is only a comparison with nil.
type Trace struct {
	stack   *Stack
	cfg     TraceConfig
	events  chan TraceEvent
	dropped atomic.Uint64
	conns   atomic.Int32 // traced so far
}

// Trace begins to trace. It may be called on any goroutine that is no shard's; ctx bounds the search for connections that are open.
func (s *Stack) Trace(ctx context.Context, cfg TraceConfig) (*Trace, error) {
	if cfg.Match == nil || cfg.Conns < 0 || cfg.Conns > MaxTraceConns || cfg.Interval < 0 || cfg.Buffer < 0 || cfg.Buffer > 1<<20 {
		return nil, fmt.Errorf("%w: a trace of %d connections (at most %d) with a buffer of %d events", ErrConfig, cfg.Conns, MaxTraceConns,
			cfg.Buffer)
	}
	setDefault(&cfg.Conns, 1)
	setDefault(&cfg.Interval, 10*time.Millisecond)
	setDefault(&cfg.Buffer, 8192)
	if s.traces.Add(1) > maxTraces {
		s.traces.Add(-1)
		return nil, ErrTooManyTraces
	}
	t := &Trace{stack: s, cfg: cfg, events: make(chan TraceEvent, cfg.Buffer)}
	open := ConnQuery{Kinds: KindConn, Filter: func(c *ConnInfo) bool { return cfg.Match(c.Info.Flow) }}
	for _, sh := range s.shards { // first those to come, so that none is missed
		sh.call(func(sh *Shard) { sh.traceFrom(t) })
	}
	for c, err := range s.Connections(ctx, open) {
		if err != nil {
			t.Close()
			return nil, err
		}
		sh := s.shards[c.Shard]
		sh.call(func(sh *Shard) {
			if k := sh.conns.at(c.ID); k.is(connOpen) && k.tcp.Flow() == c.Info.Flow {
				sh.tracer.begin(t, k)
			}
		})
		if int(t.conns.Load()) >= cfg.Conns {
			break
		}
	}
	return t, nil
}

// Events is where the events come, in the order of each connection. It is closed by Close.
func (t *Trace) Events() <-chan TraceEvent { return t.events }

// Dropped returns how many events there was no room for.
func (t *Trace) Dropped() uint64 { return t.dropped.Load() }

// Over is closed when the stack is: no event comes after that.
func (t *Trace) Over() <-chan struct{} { return t.stack.stopped }

// Close ends the trace. It must be called once, and not on a shard.
func (t *Trace) Close() {
	for _, sh := range t.stack.shards {
		if !sh.call(func(sh *Shard) { sh.traceNoMore(t) }) {
			<-sh.done
		}
	}
	t.stack.traces.Add(-1)
	close(t.events)
}

// send gives an event to the reader, if there is room.
func (t *Trace) send(e *TraceEvent) {
	select {
	case t.events <- *e:
	default:
		t.dropped.Add(1)
	}
}

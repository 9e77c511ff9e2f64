package load

import (
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/http1"
	"github.com/xdpstack/xdpstack/internal/wheel"
	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

const (
	// turnArrivals bounds the arrivals that are taken up in one turn: the answers to others wait meanwhile.
	turnArrivals = 512
	// closeTimeout bounds how long a connection may take to end before it is reset.
	closeTimeout = time.Second
	// retryTime is how long no connection is opened after one could not be; portTime is that where no port was free, for which the search
	// takes long.
	retryTime = 100 * time.Millisecond
	portTime  = 10 * time.Millisecond
	// gateTime is how often a worker looks whether the others are ready.
	gateTime = time.Millisecond
	// connBlock is how many connections are allocated together.
	connBlock = 256
)

// worker is what one shard does of a run. All of it belongs to the shard.
type worker struct {
	run    *Run
	cfg    *Config
	shard  *stack.Shard
	dialer stack.Dialer
	id     int        // among all shards of all workers
	of     int        // how many those are
	open   bool       // an open loop
	idle   bool       // there is nothing for it to do
	udp    *udpWorker // nil: not over UDP
	tls    *tlsWorker // nil: not over TLS

	requests    [][]byte // of each target
	headRequest bool
	order       []uint16 // targets in turn
	turns       int

	now      clock.Time
	state    State
	rec      *recorder
	fresh    *recorder  // for when the warm-up ends
	epoch    int        // how often what was recorded was thrown away
	from     clock.Time // requests that were intended before are not counted
	schedule *schedule
	created  clock.Time
	start    clock.Time // of the first request
	end      clock.Time // from when on no more are begun
	drained  clock.Time // from when on those under way are not waited for
	closed   clock.Time // from when on connections are not waited for that are being closed; 0: none are yet
	left     uint64     // requests that may be begun
	waiting  times      // arrivals that wait for a connection
	tcpBase  tcp.Stats
	cpuBase  CPU

	share    int // connections that are this worker's
	attempts int // connections that were opened, or tried to
	used     int // that are in use
	ready    list
	free     list
	conns    []*conn
	wheel    *wheel.Wheel
	due      []uint32
	retryAt  clock.Time // no connection is opened before
	noPort   bool       // because no port was free
	failed   bool       // the last attempt failed
	reason   Reason     // for this reason
	memo     http1.Memo
	gauges   Gauges
}

// list is a queue of connections.
type list struct{ first, last *conn }

func (l *list) push(c *conn) {
	c.next = nil
	if l.first == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

func (l *list) pop() *conn {
	c := l.first
	if c != nil {
		l.first, c.next = c.next, nil
	}
	return c
}

// counts reports whether what was intended at a time is counted, and not of a warm-up that is over.
func (w *worker) counts(intended clock.Time) bool { return !intended.Before(w.from) }

// fail counts a failed request.
func (w *worker) fail(intended clock.Time, r Reason) {
	if !w.counts(intended) {
		return
	}
	since(w.rec.FailedAfter, intended, w.now)
	w.lost(r)
}

// answered counts a request that was answered. status 0: of a protocol that has none; first 0: a response without a byte.
func (w *worker) answered(status int, intended, first, last clock.Time) {
	if status != 0 {
		w.rec.Statuses[status/100]++
		if status >= 400 {
			w.fail(intended, Status4xx+Reason(status/500))
			return
		}
	}
	w.rec.Done++
	if first != 0 {
		since(w.rec.FirstByte, intended, first)
	}
	since(w.rec.Total, intended, last)
}

// lost counts a failure that was not of a request: an attempt at a connection that requests were to be made on.
func (w *worker) lost(r Reason) {
	w.rec.Failed++
	w.rec.Errors[r]++
	w.reason, w.failed = r, true
	if w.cfg.FailFast && r != Unfinished {
		w.run.fail(r)
	}
}

// turn is the worker's stack.OnTurn.
func (w *worker) turn(_ *stack.Shard, now clock.Time) clock.Time {
	w.now = now
	if w.run.stopping.Load() && w.state < Draining {
		w.drain()
	}
	w.expire()
	switch {
	case w.udp != nil:
		w.udp.turn()
	case w.tls != nil:
		w.tls.turn()
	}
	if w.state == Opening {
		w.gate()
	}
	more := false
	if w.state == WarmUp || w.state == Running {
		more = w.arrive()
	}
	w.fill()
	w.launch()
	if w.state == Draining && w.ended() {
		return clock.Never
	}
	if more {
		return now
	}
	return w.deadline()
}

// gate begins with the requests when all shards have opened their connections, or found that they cannot be opened.
func (w *worker) gate() {
	if w.start == 0 {
		if w.opening() && w.now.Before(w.created.Add(w.cfg.ConnectTimeout)) {
			return
		}
		w.start = clock.Never
		w.run.opened(w.now)
	}
	at := clock.Time(w.run.startAt.Load())
	if at != 0 && (w.open || !at.After(w.now)) { // a schedule has its own times
		w.begin(at)
	}
}

// opening reports whether there is something to be waited for before requests are made.
func (w *worker) opening() bool {
	switch {
	case w.udp != nil:
		return !w.udp.found()
	case w.tls != nil:
		return w.tls.away > 0
	}
	return w.prepares() && (w.attempts < w.share || w.gauges.Opening > 0)
}

// prepares reports whether connections are opened before requests are made.
func (w *worker) prepares() bool { return w.cfg.Mode != Connections && w.udp == nil }

// begin is the start of the requests.
func (w *worker) begin(at clock.Time) {
	w.start, w.end = at, clock.Never
	if whole := w.cfg.whole(); whole > 0 {
		w.end = at.Add(whole)
	}
	if phases := w.run.phases; len(phases) > 0 && !w.idle {
		w.schedule = newSchedule(phases, w.cfg.Arrivals, w.id, w.of, w.cfg.Seed, at)
	}
	if w.state = Running; w.cfg.WarmUp > 0 {
		w.state = WarmUp
	}
	w.from = at
	w.base()
	if !w.open {
		w.resume()
	}
}

// base notes where counters of others began.
func (w *worker) base() { w.tcpBase, w.cpuBase = w.shard.TCPStats(), cpuTime() }

// resume has the connections of a closed loop make their first requests.
func (w *worker) resume() {
	switch {
	case w.udp != nil:
		w.udp.resume()
	case w.tls != nil:
		w.tls.resume()
	}
	for _, c := range w.conns {
		w.offer(c)
	}
}

// measure ends the warm-up.
func (w *worker) measure() {
	w.state, w.from, w.epoch = Running, w.start.Add(w.cfg.WarmUp), w.epoch+1
	old := w.rec
	w.rec, w.fresh = w.fresh, nil
	if w.prepares() {
		w.rec.Connects, w.rec.Connect = old.Connects, old.Connect
	}
	w.base()
}

// arrive takes up what is due by the schedule, and reports whether there is more.
func (w *worker) arrive() (more bool) {
	if w.state == WarmUp && !w.now.Before(w.start.Add(w.cfg.WarmUp)) {
		w.measure()
	}
	if s := w.schedule; s != nil {
		for n := 0; !s.next.After(w.now) && w.left > 0; n++ {
			if n == turnArrivals {
				return true
			}
			at := s.next
			s.advance()
			w.left--
			w.arrival(at)
		}
	}
	if !w.now.Before(w.end) || w.left == 0 {
		w.drain()
	}
	return false
}

// arrival deals with one request of an open loop.
func (w *worker) arrival(at clock.Time) {
	if w.counts(at) {
		since(w.rec.ScheduleError, at, w.now)
	}
	switch {
	case w.waiting.n == 0 && w.try(at):
	case !w.waiting.push(at):
		w.fail(at, Backlog)
	}
}

// try makes a request if it can be made now, or has it fail if it cannot be made at all; else it reports false.
func (w *worker) try(at clock.Time) bool {
	switch {
	case w.udp != nil:
		return w.udp.try(at)
	case w.tls != nil:
		return w.tls.try(at)
	case w.cfg.Mode == Connections:
		return w.used < w.share && w.visit(at)
	}
	for c := w.ready.pop(); c != nil; c = w.ready.pop() {
		if c.listed = false; !c.ready() {
			continue
		}
		c.begin(at)
		w.list(c)
		return true
	}
	return false
}

// list puts a connection among those that are ready, if it is.
func (w *worker) list(c *conn) {
	if !c.listed && c.ready() {
		c.listed = true
		w.ready.push(c)
	}
}

// launch makes the requests that wait, as far as there is room for them, and ends those that have waited too long.
func (w *worker) launch() {
	for w.waiting.n > 0 {
		at := w.waiting.first()
		switch {
		case !at.Add(w.cfg.RequestTimeout).After(w.now):
			r := ConnLimit
			if w.gauges.Open == 0 && w.failed {
				r = w.reason // there is no connection, and that is why
			}
			w.fail(at, r)
		case w.try(at):
			if w.counts(at) {
				since(w.rec.Wait, at, w.now)
			}
		default:
			return
		}
		w.waiting.pop()
	}
}

// offer lets an open connection make requests: what waits, or those of a closed loop.
func (w *worker) offer(c *conn) {
	if w.open {
		if c.ready() && w.waiting.n > 0 {
			w.list(c)
			w.launch()
		}
		w.list(c)
		return
	}
	if w.state != WarmUp && w.state != Running || w.cfg.Mode == Hold || w.cfg.Mode.streams() {
		return
	}
	if w.cfg.Think > 0 && c.n == 0 && c.thought {
		c.thought = false
		c.state = connThinks
		c.timed = false
		w.wheel.Set(c.id, w.now.Add(w.cfg.Think))
		return
	}
	for c.ready() && w.left > 0 {
		w.left--
		c.begin(w.now)
		c.thought = true
	}
}

// deadline returns when the next turn is needed.
func (w *worker) deadline() clock.Time {
	d := w.wheel.Next()
	switch w.state {
	case Opening:
		d = min(d, w.now.Add(gateTime))
		if at := clock.Time(w.run.startAt.Load()); at != 0 {
			d = min(d, at)
		}
	case WarmUp:
		d = min(d, w.start.Add(w.cfg.WarmUp))
	case Running:
		d = min(d, w.end)
	case Draining:
		if w.closed == 0 {
			d = min(d, w.drained)
		} else {
			d = min(d, w.closed)
		}
	}
	if w.state < Draining && w.schedule != nil {
		d = min(d, w.schedule.next)
	}
	if w.waiting.n > 0 {
		d = min(d, w.waiting.first().Add(w.cfg.RequestTimeout))
	}
	if w.retryAt.After(w.now) {
		d = min(d, w.retryAt)
	}
	if w.udp != nil {
		d = min(d, w.udp.deadline())
	}
	return d
}

// drain ends the making of requests.
func (w *worker) drain() {
	if w.state == Opening {
		w.from, w.start = w.now, w.now
		w.base()
	}
	w.end = min(w.end, w.now)
	if w.end == 0 {
		w.end = w.now
	}
	w.state, w.drained = Draining, w.now.Add(w.cfg.Drain)
}

// quiet reports whether there is nothing to be waited for.
func (w *worker) quiet() bool {
	return w.gauges.InFlight == 0 && w.waiting.n == 0 || !w.now.Before(w.drained)
}

// ended goes on with the end of a run: requests are waited for, then all connections are closed, and that is waited for.
func (w *worker) ended() bool {
	if w.closed == 0 {
		if !w.quiet() {
			return false
		}
		w.close()
	}
	if w.used > 0 && w.now.Before(w.closed) {
		return false
	}
	w.state = Finished
	w.shard.SetOnTurn(nil)
	w.run.finished()
	return true
}

// close gives up what has not ended, and closes all connections.
func (w *worker) close() {
	w.closed = w.now.Add(2 * closeTimeout) // those that take longer have been reset
	for w.waiting.n > 0 {
		w.fail(w.waiting.pop(), Unfinished)
	}
	switch {
	case w.udp != nil:
		w.udp.finish()
	case w.tls != nil:
		w.tls.finish()
	}
	for _, c := range w.conns {
		c.giveUp(Unfinished)
		if c.c == nil {
			continue
		}
		switch c.state {
		case connOpening:
			c.abort()
		case connOpen, connThinks:
			c.close()
		}
	}
	if w.cfg.Count > 0 && !w.open {
		w.end = w.now // its answers are what it took the time for
	}
}

// remote returns the next target.
func (w *worker) remote() (i uint16, addr netip.AddrPort) {
	i = w.order[w.turns]
	if w.turns++; w.turns == len(w.order) {
		w.turns = 0
	}
	return i, w.cfg.Targets[i].Addr
}

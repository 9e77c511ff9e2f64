package load

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/http1"
	"github.com/xdpstack/xdpstack/stack"
)

// tlsWorker makes a worker's requests over TLS. crypto/tls wants connections that block, so each is a net.Conn with a goroutine of its own:
// far slower than what runs on a shard. The shard still keeps the schedule, hands out requests, and counts:
//
//	worker.try ── when it was due ──► a goroutine: connect, write, read ── tlsEvent ──► worker.turn
type tlsWorker struct {
	w    *worker
	idle int             // goroutines that have nothing to do
	away int             // goroutines that have not opened their connection yet
	asks chan clock.Time // requests, by when they were due; as many as there are goroutines
	end  chan struct{}   // closed when the run is over

	mu     sync.Mutex
	inbox  []tlsEvent
	others []tlsEvent
	open   map[net.Conn]struct{}
	over   bool
	posted atomic.Bool
	group  sync.WaitGroup
}

// tlsEvent is what a goroutine has to tell: that it has opened its connection or has not, or what became of a request.
type tlsEvent struct {
	intended    clock.Time // 0: of no request
	first, last clock.Time // the first and the last byte of the response
	connect     time.Duration
	connected   bool // a connection was opened
	lost        bool // one could not be opened
	ok          bool
	reason      Reason
	status      int
	sent, got   int
}

func newTLSWorker(w *worker) *tlsWorker {
	return &tlsWorker{w: w, asks: make(chan clock.Time, w.share), end: make(chan struct{}), open: make(map[net.Conn]struct{})}
}

// start has the goroutines begin.
func (t *tlsWorker) start() {
	for range t.w.share {
		target, remote := t.w.remote()
		c := &tlsConn{t: t, request: t.w.requests[target], remote: remote.String(), config: t.w.cfg.TLS.Clone()}
		if c.config.ServerName == "" {
			c.config.ServerName = hostOnly(t.w.cfg.Targets[target])
		}
		if t.w.cfg.Mode == Requests {
			t.away++
		} else {
			t.idle++
		}
		t.group.Add(1)
		go c.run()
	}
}

func hostOnly(t Target) string {
	if t.Host == "" {
		return t.Addr.Addr().String()
	}
	if host, _, err := net.SplitHostPort(t.Host); err == nil {
		return host
	}
	return t.Host
}

// turn takes what the goroutines have to tell.
func (t *tlsWorker) turn() {
	if t.posted.Swap(false) {
		t.mu.Lock()
		t.inbox, t.others = t.others[:0], t.inbox
		t.mu.Unlock()
		for i := range t.others {
			t.take(&t.others[i])
		}
	}
	t.resume()
}

func (t *tlsWorker) take(e *tlsEvent) {
	w := t.w
	t.idle++
	w.rec.BytesSent += uint64(e.sent)
	w.rec.BytesReceived += uint64(e.got)
	if e.connected {
		w.rec.Connects++
		_ = w.rec.Connect.RecordValue(min(int64(e.connect), highestValue)) // it is in the range
	}
	if e.lost {
		w.rec.ConnectsLost++
	}
	if e.intended == 0 {
		if t.away--; e.lost {
			w.missed(e.reason)
		}
		return
	}
	w.gauges.InFlight--
	switch {
	case !w.counts(e.intended):
	case !e.ok:
		w.fail(e.intended, e.reason)
	default:
		w.answered(e.status, e.intended, e.first, e.last)
	}
	if w.open && w.waiting.n > 0 {
		w.launch()
	}
}

// resume makes the requests of a closed loop.
func (t *tlsWorker) resume() {
	w := t.w
	if w.open || w.state != WarmUp && w.state != Running {
		return
	}
	for w.left > 0 && t.try(w.now) {
		w.left--
	}
}

// try hands a request to a goroutine, and reports false if none is idle.
func (t *tlsWorker) try(at clock.Time) bool {
	if t.idle == 0 {
		return false
	}
	t.idle--
	t.asks <- at // there is room
	t.w.gauges.InFlight++
	if t.w.counts(at) {
		t.w.rec.Started++
	}
	return true
}

// finish has the goroutines end, whatever they are doing. What they were doing counts as unfinished.
func (t *tlsWorker) finish() {
	w := t.w
	for ; w.gauges.InFlight > 0; w.gauges.InFlight-- {
		w.lost(Unfinished)
	}
	close(t.end)
	go func() { // connections are closed with the help of their shard, which this is
		t.mu.Lock()
		defer t.mu.Unlock()
		t.over = true
		for c := range t.open {
			c.Close()
		}
	}()
}

// post tells the worker.
func (t *tlsWorker) post(e *tlsEvent) {
	t.mu.Lock()
	t.inbox = append(t.inbox, *e)
	t.mu.Unlock()
	t.posted.Store(true)
	_ = t.w.shard.Do(func(*stack.Shard) {}) // it has a turn
}

// tlsConn is one goroutine, with the connection that it has, if it has one.
type tlsConn struct {
	t       *tlsWorker
	remote  string
	config  *tls.Config
	request []byte
	conn    *tls.Conn
	under   net.Conn
	reader  http1.Reader
	memo    http1.Memo
	buf     [16 << 10]byte
}

func (c *tlsConn) run() {
	t := c.t
	defer t.group.Done()
	defer c.close()
	if t.w.cfg.Mode == Requests {
		var e tlsEvent
		c.connect(&e)
		t.post(&e)
	}
	for {
		select {
		case <-t.end:
			return
		case at := <-t.asks:
			e := tlsEvent{intended: at}
			c.ask(&e)
			if t.w.cfg.Mode == Connections || !e.ok {
				c.close()
			}
			if t.w.cfg.Think > 0 {
				select {
				case <-time.After(t.w.cfg.Think):
				case <-t.end:
				}
			}
			t.post(&e)
		}
	}
}

// connect opens a connection, and says in e what came of it.
func (c *tlsConn) connect(e *tlsEvent) bool {
	t := c.t
	began := clock.Now()
	d := stack.Dialer{Stack: t.w.run.stack, Spread: t.w.cfg.Spread, Timeout: t.w.cfg.ConnectTimeout}
	under, err := d.Dial("tcp", c.remote)
	if err != nil {
		e.lost, e.reason = true, reasonOf(err, ConnectTimeout)
		return false
	}
	if c.under = under; !t.register(under) {
		e.lost, e.reason = true, Unfinished
		return false
	}
	c.conn = tls.Client(under, c.config)
	_ = under.SetDeadline(time.Now().Add(t.w.cfg.ConnectTimeout)) // it only fails on a closed connection
	if err := c.conn.Handshake(); err != nil {
		e.lost, e.reason = true, reasonOf(err, ConnectTimeout)
		if e.reason == BadResponse || errors.Is(err, io.EOF) {
			e.reason = TLSFailed
		}
		c.close()
		return false
	}
	c.reader.Reset()
	e.connected, e.connect = true, clock.Now().Sub(began)
	return true
}

// ask makes a request.
func (c *tlsConn) ask(e *tlsEvent) {
	w := c.t.w
	if c.conn == nil && !c.connect(e) {
		return
	}
	_ = c.under.SetDeadline(time.Now().Add(w.cfg.RequestTimeout)) // as above
	n, err := c.conn.Write(c.request)
	e.sent = n
	for err == nil {
		n, err = c.conn.Read(c.buf[:])
		if n > 0 && e.first == 0 {
			e.first = clock.Now()
		}
		e.got += n
		if n == 0 {
			continue
		}
		took, done, bad := c.reader.Read(c.buf[:n], w.headRequest, &c.memo)
		if bad != nil || done && took < n {
			e.reason = BadResponse
			return
		}
		if done {
			c.answered(e)
			return
		}
	}
	if errors.Is(err, io.EOF) && c.reader.End() {
		c.answered(e)
		return
	}
	if e.reason = reasonOf(err, RequestTimeout); e.first != 0 && (e.reason == PeerClosed || e.reason == Reset) {
		e.reason = ShortBody
	}
}

// answered notes a complete response.
func (c *tlsConn) answered(e *tlsEvent) {
	e.ok, e.status, e.last = true, c.reader.Response.Status, clock.Now()
	if !c.reader.Response.KeepAlive {
		c.close()
	}
}

func (t *tlsWorker) register(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		c.Close()
		return false
	}
	t.open[c] = struct{}{}
	return true
}

func (c *tlsConn) close() {
	if c.under == nil {
		return
	}
	c.t.mu.Lock()
	delete(c.t.open, c.under)
	c.t.mu.Unlock()
	if l, ok := c.under.(interface{ SetLinger(int) error }); ok && c.t.w.cfg.Reset {
		_ = l.SetLinger(0) // it only fails on a closed connection
	}
	c.under.Close()
	c.under, c.conn = nil, nil
}

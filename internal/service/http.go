package service

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/internal/backlog"
	"github.com/xdpstack/xdpstack/internal/http1"
	"github.com/xdpstack/xdpstack/stack"
)

// lingerBytes is how much a client may still send on a connection that is being closed after an error, before it is reset (RFC 9112
// section 9.6: closing at once could destroy the answer on its way).
const lingerBytes = http1.MaxBody

// HTTP serves a directory, bodies of a given size, or one built-in page, over HTTP/1.1 (RFC 9110, 9112): GET and HEAD, persistent and
// pipelined. The requests of a connection are answered one after another; a delay is that of each, from when its turn comes.
//
// Files are read on the shard, in pieces as the send buffer drains. That is right for files in the page cache; for slow storage,
// [HTTP.Handler] has the same content for net/http, which gives each connection a goroutine.
type HTTP struct {
	content atomic.Pointer[content]
	delay   Delay
	seed    uint64
	stall   stallClock
	waiting []*waiting // by shard; none without a delay
	mu      sync.Mutex // held while second is made, so that a later one is not replaced by one of earlier content
	second  atomic.Pointer[second]
	pieces  sync.Pool // of *[pieceSize]byte, for reading files
	stop    chan struct{}
	once    sync.Once
}

// content is what is served.
type content struct {
	root *os.Root // nil: no files
	made bool     // every answer has a made-up body of
	size int64    // so many bytes
}

// HTTPConfig says what a server answers, and when.
type HTTPConfig struct {
	Root  string // directory of files; "": none, but
	Made  bool   // a made-up body of Size bytes for whatever is asked for; default the built-in page
	Size  int64
	Delay Delay  // how long each request takes; default no time. See [HTTP.OnTurns].
	Seed  uint64 // of the choice among several delays
}

// second is what can be prepared once a second for all answers of that second.
type second struct {
	date string
	page []byte // the whole answer to GET on a kept connection, for the page or a small made-up body; nil: there is none
	made bool   // it is a made-up body's, for whatever is asked for
}

// NewHTTP makes a server. Close ends it.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	h := &HTTP{stop: make(chan struct{}), delay: cfg.Delay, seed: cfg.Seed}
	h.pieces.New = func() any { return new([pieceSize]byte) }
	c, err := cfg.content()
	if err != nil {
		return nil, err
	}
	h.content.Store(c)
	h.prepare(time.Now())
	go h.tick()
	return h, nil
}

func (cfg *HTTPConfig) content() (*content, error) {
	if cfg.Made && cfg.Root != "" || cfg.Size < 0 {
		return nil, fmt.Errorf("http: a body of %d bytes, and the files of %q: want one of them", cfg.Size, cfg.Root)
	}
	c := &content{made: cfg.Made, size: cfg.Size}
	if cfg.Root != "" {
		r, err := os.OpenRoot(cfg.Root)
		if err != nil {
			return nil, fmt.Errorf("http: the directory to serve: %w", err)
		}
		c.root = r
	}
	return c, nil
}

// Prepare opens what is to be served from now on, for Root, Made and Size; the other settings stay. use has every request answered from
// there that comes after it. An answer that has begun goes on.
func (h *HTTP) Prepare(cfg HTTPConfig) (use func(), err error) {
	c, err := cfg.content()
	if err != nil {
		return nil, err
	}
	return func() {
		h.content.Store(c) // The directory before is closed when nobody uses it any more: see os.Root.
		h.prepare(time.Now())
	}, nil
}

// Close gives the directory back. No connection may be open any more.
func (h *HTTP) Close() error {
	var err error
	h.once.Do(func() {
		close(h.stop)
		if root := h.content.Load().root; root != nil {
			err = root.Close()
		}
	})
	return err
}

// tick keeps the date right, so that no answer needs to read the clock.
func (h *HTTP) tick() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			h.prepare(now)
		case <-h.stop:
			return
		}
	}
}

func (h *HTTP) prepare(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.content.Load()
	s := &second{date: now.UTC().Format(http.TimeFormat), made: c.made}
	body, kind := page, pageType
	if c.made {
		body, kind = made[:min(c.size, preparedBody)], textType
	}
	if c.root == nil && (!c.made || c.size <= preparedBody) {
		s.page = appendHead(nil, s.date, answer{status: 200, kind: kind, length: int64(len(body)), keepAlive: true, minor: 1})
		s.page = append(s.page, body...)
	}
	h.second.Store(s)
}

// httpConn is the state of one connection.
type httpConn struct {
	partial []byte          // the start of a request head whose rest has not come
	backlog backlog.Backlog // received while an answer waits for room
	body    int64           // bytes of the present request's body that are still to be skipped

	out  []byte   // what is left of the answer: first this,
	file *os.File // then this file, nil: a made-up body
	off  int64    // from this offset
	left int64    // so many bytes of it

	place  int   // in the heap of those that wait, from 1; 0: the answer may be sent
	last   bool  // the connection ends with the present answer
	drain  bool  // the connection is to end as soon as nothing is asked for any more
	eof    bool  // the client sends no more
	linger int64 // bytes that came after the last answer
}

func (st *httpConn) answering() bool { return len(st.out) > 0 || st.file != nil || st.left > 0 }

// Opened prepares the connection. An answer that is ready does not wait until the client, which delays its ACKs, has acknowledged the one
// before: those of one turn go together without Nagle's algorithm too.
func (h *HTTP) Opened(c *stack.Conn) {
	c.SetContext(&httpConn{})
	c.SetNoDelay(true)
}

// Received answers the requests that p completes, as far as there is room for the answers.
func (h *HTTP) Received(c *stack.Conn, p []byte) {
	st, _ := c.Context().(*httpConn)
	if st == nil {
		return
	}
	if st.backlog.Empty() {
		p = h.consume(c, st, p)
	}
	if len(p) > 0 {
		st.backlog.Keep(c, p)
	}
}

// Writable goes on with the answer, and then with the requests that waited for it.
func (h *HTTP) Writable(c *stack.Conn) {
	st, _ := c.Context().(*httpConn)
	if st == nil || !h.flush(c, st) {
		return
	}
	drained := st.backlog.Drain(c, func(p []byte) []byte { return h.consume(c, st, p) })
	switch {
	case drained && st.eof && !st.answering():
		c.Close()
	case drained:
		h.endIfDrained(c, st)
	}
}

// PeerClosed ends the connection once the last request is answered.
func (h *HTTP) PeerClosed(c *stack.Conn) {
	st, _ := c.Context().(*httpConn)
	if st == nil {
		return
	}
	st.eof = true
	if st.backlog.Empty() && !st.answering() {
		c.Close()
	}
}

// Drain ends a connection on which nothing is asked for; else with the answer to what is asked for.
func (h *HTTP) Drain(c *stack.Conn) {
	st, _ := c.Context().(*httpConn)
	if st == nil {
		return
	}
	st.drain = true
	h.endIfDrained(c, st)
}

// endIfDrained sends the FIN of a connection that is to end, once it is idle. Requests that come after that are not answered, as the client
// can tell from the FIN (RFC 9112 section 9.6).
func (h *HTTP) endIfDrained(c *stack.Conn, st *httpConn) {
	if st.drain && !st.last && !st.answering() && st.backlog.Empty() && len(st.partial) == 0 {
		st.last = true
		c.CloseWrite()
	}
}

// Closed gives everything back.
func (h *HTTP) Closed(c *stack.Conn, _ error) {
	st, _ := c.Context().(*httpConn)
	if st == nil {
		return
	}
	st.backlog.Drop(c)
	if st.place > 0 {
		h.waiting[c.Shard()].remove(st)
	}
	if st.file != nil {
		st.file.Close()
	}
	c.SetContext(nil)
}

// consume works through received bytes and returns those that must wait for room.
func (h *HTTP) consume(c *stack.Conn, st *httpConn, p []byte) []byte {
	for len(p) > 0 {
		switch {
		case st.answering():
			return p
		case st.last:
			if st.linger += int64(len(p)); st.linger > lingerBytes {
				c.Abort()
			}
			return nil
		case st.body > 0:
			n := min(st.body, int64(len(p)))
			st.body -= n
			p = p[n:]
		default:
			p = h.request(c, st, p)
		}
	}
	return nil
}

// request takes one request head off p, answers it, and returns what follows it.
func (h *HTTP) request(c *stack.Conn, st *httpConn, p []byte) []byte {
	head, before := p, len(st.partial)
	if before > 0 {
		st.partial = append(st.partial, p[:min(len(p), http1.MaxHead)]...)
		head = st.partial
	}
	var r http1.Request
	n, err := http1.Parse(head, &r)
	switch {
	case errors.Is(err, http1.ErrIncomplete):
		if before == 0 {
			st.partial = append(st.partial, p...)
		}
		return nil
	case err != nil:
		var e *http1.Error
		errors.As(err, &e)
		st.last = true
		st.partial = nil
		h.load(st, h.errorAnswer(e.Status, e.Reason, &r))
		h.flush(c, st)
		return nil
	}
	h.answer(c, st, &r) // before partial, which r's slices may be part of, is emptied
	st.partial = st.partial[:0]
	return p[n-before:]
}

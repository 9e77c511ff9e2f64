package stack

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/tcp"
)

// TCPConn is a TCP connection as a net.Conn: any goroutine may use it.
//
// The shard hands received frames over in a list, and Read copies out of them; the frames and the window go back with one command
// when enough has been read. Write gives the caller's slice to the shard, which copies it into frames that can be sent, and
// returns when all of it has been taken.
type TCPConn struct {
	shard  *Shard
	conn   *Conn        // the shard's; nil once it is over
	origin *NetListener // nil for a dialed connection
	local  *net.TCPAddr
	remote *net.TCPAddr

	established chan struct{} // closed when the handshake is done
	finished    chan struct{} // closed when the connection is over
	closing     chan struct{} // closed by Close
	closeOnce   sync.Once

	readMu       sync.Mutex // one reader at a time; guards reading, spent and credit
	reading      []chunk    // what Read takes from
	position     int        // the first of it that is not read
	spent        []frame.Index
	credit       uint32        // bytes read and not given back as window
	share        uint32        // of bytes read that is worth to be given back while there is more to read: a quarter of promised
	readable     chan struct{} // tells Read that received is no longer empty
	readDeadline deadline

	mu            sync.Mutex // guards what follows; held for a few instructions
	received      []chunk    // what Read has not seen yet
	returned      []frame.Index
	returnedBytes uint32
	promised      uint32 // bytes that the peer may send beyond what was given back, when the shard last said
	eof           bool
	err           error // why the connection is over

	creditPosted atomic.Bool
	held         atomic.Bool // the SYN waits for the first Write: see tcp.Config.FastOpen

	writeMu       sync.Mutex // one writer at a time
	writing       []byte     // what Write waits for; the shard's between opWrite and wrote
	writeErr      error
	taken         int
	onReport      func(c *Conn, r Report) // the shard's
	pushOn        bool                    // the shard's: a Write waits
	wrote         chan struct{}
	writeDeadline deadline
}

// chunk is received payload on its way to Read: a frame's bytes, or a copy where frames are scarce.
type chunk struct {
	data  []byte
	frame frame.Index // frame.None for a copy
}

func newTCPConn(origin *NetListener) *TCPConn {
	return &TCPConn{
		origin:      origin,
		established: make(chan struct{}),
		finished:    make(chan struct{}),
		closing:     make(chan struct{}),
		readable:    make(chan struct{}, 1),
		wrote:       make(chan struct{}, 1),
	}
}

// Read reads what has arrived, waiting for the first byte (net.Conn).
func (t *TCPConn) Read(p []byte) (int, error) {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	for {
		if err := t.expired(&t.readDeadline); err != nil {
			return 0, t.opError("read", err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		if n := t.take(p); n > 0 {
			t.giveBack(false)
			return n, nil
		}
		more, err := t.fetch()
		switch {
		case more:
			continue
		case errors.Is(err, io.EOF):
			return 0, io.EOF
		case err != nil:
			return 0, t.opError("read", err)
		}
		t.giveBack(true)
		if t.held.Load() && t.held.Swap(false) {
			t.shard.post(command{op: opSendSYN, conn: t}) // There will be nothing to read otherwise.
		}
		select {
		case <-t.readable:
		case <-t.finished:
		case <-t.readDeadline.done():
		case <-t.closing:
		case <-t.shard.stack.stopped:
			return 0, t.opError("read", net.ErrClosed)
		}
	}
}

// expired returns the error of an operation that must not start any more, or nil.
func (t *TCPConn) expired(d *deadline) error {
	select {
	case <-t.closing:
		return net.ErrClosed
	default:
	}
	select {
	case <-d.done():
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}

// take copies from what is being read. The caller holds readMu.
func (t *TCPConn) take(p []byte) int {
	n := 0
	for n < len(p) && t.position < len(t.reading) {
		ch := &t.reading[t.position]
		k := copy(p[n:], ch.data)
		n += k
		ch.data = ch.data[k:]
		if len(ch.data) > 0 {
			break
		}
		if ch.frame != frame.None {
			t.spent = append(t.spent, ch.frame)
		}
		*ch = chunk{}
		t.position++
	}
	t.credit += uint32(n)
	return n
}

// fetch gets what the shard has handed over since. The caller holds readMu and has read everything before.
func (t *TCPConn) fetch() (more bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.share = t.promised / 4
	if len(t.received) > 0 {
		t.reading, t.received, t.position = t.received, t.reading[:0], 0
		return true, nil
	}
	if t.err != nil {
		return false, t.err
	}
	if t.eof {
		return false, io.EOF
	}
	return false, nil
}

// giveBack returns read frames to the shard and lets the window open. While the reader is busy, it waits for a share of what the
// peer may send to come together; before it sleeps, it gives back what there is, but wakes a sleeping shard only for such a share: with
// less, the peer still has most of its window.
func (t *TCPConn) giveBack(idle bool) {
	if t.credit == 0 || t.credit < t.share && !idle {
		return
	}
	t.mu.Lock()
	t.returned = append(t.returned, t.spent...)
	t.returnedBytes += t.credit
	wake := t.returnedBytes >= t.promised/4
	t.mu.Unlock()
	t.spent, t.credit = t.spent[:0], 0
	if !t.creditPosted.CompareAndSwap(false, true) {
		if wake && t.shard.sleeping.Load() {
			t.shard.dev.Wake()
		}
		return
	}
	cmd := command{op: opCredit, conn: t}
	if wake {
		t.shard.post(cmd)
	} else {
		t.shard.postLazy(cmd)
	}
}

// Write sends p and returns when the stack has taken all of it (net.Conn).
func (t *TCPConn) Write(p []byte) (int, error) {
	t.writeMu.Lock()
	defer t.writeMu.Unlock()
	if err := t.expired(&t.writeDeadline); err != nil {
		return 0, t.opError("write", err)
	}
	if len(p) == 0 {
		return 0, nil
	}
	t.writing, t.taken, t.writeErr = p, 0, nil
	if !t.shard.post(command{op: opWrite, conn: t}) {
		return 0, t.opError("write", net.ErrClosed)
	}
	err := t.awaitWrite()
	if err == nil {
		err = t.writeErr
	}
	t.writing = nil
	if err != nil {
		return t.taken, t.opError("write", err)
	}
	return t.taken, nil
}

// awaitWrite waits until the shard is done with the slice being written, taking it back from the shard if need be.
func (t *TCPConn) awaitWrite() error {
	var cause error
	select {
	case <-t.wrote:
		return nil
	case <-t.writeDeadline.done():
		cause = os.ErrDeadlineExceeded
	case <-t.closing:
		cause = net.ErrClosed
	case <-t.shard.done:
		return net.ErrClosed
	}
	if !t.shard.post(command{op: opCancelWrite, conn: t}) {
		return net.ErrClosed
	}
	select {
	case <-t.wrote:
		if errors.Is(t.writeErr, errCancelled) {
			return cause
		}
		return t.writeErr
	case <-t.shard.done:
		return net.ErrClosed
	}
}

// Close ends the connection: what was written is still sent, what was not read is discarded, with a reset to tell the peer
// (RFC 9293 SHLD-3, RFC 2525 section 2.17).
func (t *TCPConn) Close() error {
	err := net.ErrClosed
	t.closeOnce.Do(func() {
		err = nil
		close(t.closing)
		t.readMu.Lock()
		defer t.readMu.Unlock()
		t.mu.Lock()
		op := opClose
		unread := append(t.reading[t.position:], t.received...)
		if len(unread) > 0 {
			op = opAbort
		}
		t.received = nil
		for _, ch := range unread {
			if ch.frame != frame.None {
				t.returned = append(t.returned, ch.frame)
			}
		}
		t.returned = append(t.returned, t.spent...)
		t.mu.Unlock()
		t.reading, t.position, t.spent = nil, 0, nil
		t.shard.post(command{op: op, conn: t})
	})
	if err != nil {
		return t.opError("close", err)
	}
	return nil
}

// CloseWrite sends a FIN after what was written; reading goes on.
func (t *TCPConn) CloseWrite() error {
	select {
	case <-t.closing:
		return t.opError("close", net.ErrClosed)
	default:
	}
	if !t.shard.post(command{op: opCloseWrite, conn: t}) {
		return t.opError("close", net.ErrClosed)
	}
	return nil
}

// LocalAddr returns this end's address, a *net.TCPAddr.
func (t *TCPConn) LocalAddr() net.Addr { return t.local }

// RemoteAddr returns the peer's address, a *net.TCPAddr.
func (t *TCPConn) RemoteAddr() net.Addr { return t.remote }

// SetDeadline sets both deadlines.
func (t *TCPConn) SetDeadline(at time.Time) error {
	if err := t.SetReadDeadline(at); err != nil {
		return err
	}
	return t.SetWriteDeadline(at)
}

// SetReadDeadline bounds present and later Reads.
func (t *TCPConn) SetReadDeadline(at time.Time) error { return t.setDeadline(&t.readDeadline, at) }

// SetWriteDeadline bounds present and later Writes.
func (t *TCPConn) SetWriteDeadline(at time.Time) error { return t.setDeadline(&t.writeDeadline, at) }

func (t *TCPConn) setDeadline(d *deadline, at time.Time) error {
	select {
	case <-t.closing:
		return t.opError("set", net.ErrClosed)
	default:
	}
	d.set(at)
	return nil
}

// TCPInfo returns the state of the connection in the fields and units of Linux's tcp_info; ok is false when the connection is over.
func (t *TCPConn) TCPInfo() (info tcp.TCPInfo, ok bool) {
	t.shard.call(func(*Shard) {
		if t.conn != nil {
			info, ok = t.conn.TCPInfo(), true
		}
	})
	return info, ok
}

// Info returns the state of the connection, for people; ok is false when the connection is over.
func (t *TCPConn) Info() (info tcp.Info, ok bool) {
	t.shard.call(func(*Shard) {
		if t.conn != nil {
			info, ok = t.conn.Info(), true
		}
	})
	return info, ok
}

// failure returns why the connection is over.
func (t *TCPConn) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *TCPConn) opError(op string, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Err: err}
	if t.local != nil {
		e.Source, e.Addr = t.local, t.remote
	}
	return e
}

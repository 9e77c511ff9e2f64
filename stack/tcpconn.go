package stack

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// TCPConn is a TCP connection as a net.Conn: any goroutine may use it.
//
// The shard hands received frames over in a list, and Read copies out of them; the frames and the window go back with one command
// when enough has been read. Write copies what is short into a buffer that the shard takes in its next turn, and returns at once;
// what is longer, or has no room, it shows to the shard, which copies it into frames that can be sent, and returns when all of it
// was taken.
type TCPConn struct {
	shard  *Shard
	conn   *Conn        // the shard's; nil once it is over
	origin *NetListener // nil for a dialed connection
	local  netip.AddrPort
	remote netip.AddrPort

	in  inbound
	out outbound

	addrs  atomic.Pointer[addresses] // made when they are first asked for
	asked  atomic.Uint32             // what the shard is to do, a set of requests
	held   atomic.Bool               // the SYN waits for the first Write: see tcp.Config.FastOpen
	opened chan struct{}             // closed when the handshake is done or has failed; nil for an accepted connection

	onReport func(c *Conn, r Report) // the shard's
	from, to *splice                 // the shard's: what passes on what comes in here, and what has it go out here; else nil
	ending   request                 // the shard's: askCloseWrite or askClose, for when all that was written has been taken
}

func newTCPConn(origin *NetListener) *TCPConn {
	t := &TCPConn{origin: origin}
	t.in.init()
	t.out.init()
	return t
}

// Close ends the connection: what was written is still sent, what was not read is discarded, with a reset to tell the peer
// (RFC 9293 SHLD-3, RFC 2525 section 2.17).
func (t *TCPConn) Close() error {
	if !t.in.close() {
		return t.opError("close", net.ErrClosed)
	}
	t.out.close()
	t.in.turn.Lock() // The reader whose wait has ended leaves first.
	unread := t.discard()
	t.in.turn.Unlock()
	if unread {
		t.ask(askAbort)
	} else {
		t.ask(askClose)
	}
	return nil
}

// CloseWrite sends a FIN after what was written; reading goes on.
func (t *TCPConn) CloseWrite() error {
	if err := t.out.shutDown(); err != nil {
		return t.opError("close", err)
	}
	if !t.ask(askCloseWrite) {
		return t.opError("close", net.ErrClosed)
	}
	return nil
}

// LocalAddr returns this end's address, a *net.TCPAddr, which is not to be changed.
func (t *TCPConn) LocalAddr() net.Addr { return &t.addresses().local }

// RemoteAddr returns the peer's address, a *net.TCPAddr, which is not to be changed.
func (t *TCPConn) RemoteAddr() net.Addr { return &t.addresses().remote }

// addresses are both ends' as the net package has them.
type addresses struct {
	local, remote net.TCPAddr
	bytes         [2][4]byte
}

// addresses returns them, always the same: each error has them, and net/http has one with every request.
func (t *TCPConn) addresses() *addresses {
	if a := t.addrs.Load(); a != nil {
		return a
	}
	a := &addresses{bytes: [2][4]byte{t.local.Addr().As4(), t.remote.Addr().As4()}}
	a.local = net.TCPAddr{IP: a.bytes[0][:], Port: int(t.local.Port())}
	a.remote = net.TCPAddr{IP: a.bytes[1][:], Port: int(t.remote.Port())}
	if !t.addrs.CompareAndSwap(nil, a) {
		a = t.addrs.Load()
	}
	return a
}

// SetDeadline sets both deadlines.
func (t *TCPConn) SetDeadline(at time.Time) error {
	if err := t.SetReadDeadline(at); err != nil {
		return err
	}
	return t.SetWriteDeadline(at)
}

// SetReadDeadline bounds present and later Reads.
func (t *TCPConn) SetReadDeadline(at time.Time) error { return t.setDeadline(&t.in.side, at) }

// SetWriteDeadline bounds present and later Writes.
func (t *TCPConn) SetWriteDeadline(at time.Time) error { return t.setDeadline(&t.out.side, at) }

func (t *TCPConn) setDeadline(s *side, at time.Time) error {
	if err := s.setDeadline(at); err != nil {
		return t.opError("set", err)
	}
	return nil
}

// TCPInfo returns the state of the connection in the fields and units of Linux's tcp_info; ok is false when the connection is
// over.
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

// isClosed reports whether Close was called.
func (t *TCPConn) isClosed() bool {
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	return t.in.closed
}

// failure returns why the connection is over: nil while it is not, or if it ended in order.
func (t *TCPConn) failure() error {
	t.in.mu.Lock()
	defer t.in.mu.Unlock()
	return t.in.err
}

func (t *TCPConn) opError(op string, err error) error {
	e := &net.OpError{Op: op, Net: "tcp", Err: err}
	if t.local.IsValid() {
		e.Source, e.Addr = t.LocalAddr(), t.RemoteAddr()
	}
	return e
}

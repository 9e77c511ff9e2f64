package proxy

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/backlog"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// pair is a client's connection and the kernel's socket that it is handed on to.
//
//	connecting ── writable ──► open ── both directions ended ──► closed
//	  ▲  │ refused, too late     │ reset, idle                     ▲
//	  │  ├───────────────────────┴──────── both are reset ─────────┘
//	  └──┘ there is another target
type pair struct {
	place
	attempt
	shard  *shard
	conn   *stack.Conn // nil: it has ended in order, and what it brought waits for the socket: in rest
	fd     int         // -1: closed
	state  pairState
	out    backlog.Backlog // of the client's, to be written
	rest   []byte
	in     []byte          // read, but the client's connection had no room
	taken  int             // bytes of in that it has got
	active clock.Time      // when something last passed, or it began
	header [headerLen]byte // with some of the last bytes still to be written:
	unsent int
}

type pairState uint8

const (
	connected pairState = 1 << iota
	writable            // the socket has room, as far as is known
	readable            // the socket has something
	clientEnd           // the client sends no more
	clientCut           // and the server was told
	serverEnd           // the server sends no more
)

func (p *pair) is(s pairState) bool { return p.state&s != 0 }

// connect begins to connect to a target, and to others if that fails at once.
func (p *pair) connect(to Target, now clock.Time) {
	for {
		err := p.open(to.sockaddr())
		if err == nil {
			return
		}
		reason := &p.shard.stats.Refused
		for _, limit := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL} {
			if errors.Is(err, limit) {
				reason = &p.shard.stats.Limit
			}
		}
		var ok bool
		if to, ok = p.another(p.shard.number, now); !ok {
			p.reset(reason)
			return
		}
		p.shard.stats.Another++
		p.closeSocket(false)
	}
}

// failed is told that the target did not take the connection, which goes to another if there is one; else it is reset for the reason.
func (p *pair) failed(reason *uint64, now clock.Time) {
	to, ok := p.another(p.shard.number, now)
	if !ok {
		p.reset(reason)
		return
	}
	p.shard.stats.Another++
	p.closeSocket(false)
	p.connect(to, now)
}

// open begins to connect to a target.
func (p *pair) open(family int, sa unix.Sockaddr) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	p.fd = fd
	if family != unix.AF_UNIX {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // what comes has been gathered already
	}
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		return err
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(p.index), Pad: int32(p.number)}
	return unix.EpollCtl(p.shard.epoll, unix.EPOLL_CTL_ADD, fd, &e)
}

// ready notes what the socket is ready for and goes on.
func (p *pair) ready(events uint32, now clock.Time) {
	p.active = now
	if !p.is(connected) {
		if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
			return
		}
		switch errno, _ := unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_ERROR); syscall.Errno(errno) {
		case 0:
		case unix.ECONNRESET: // it was accepted first
			p.reset(&p.shard.stats.Broken)
			return
		default:
			p.failed(&p.shard.stats.Refused, now)
			return
		}
		p.state |= connected
	}
	if events&unix.EPOLLOUT != 0 {
		p.state |= writable
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		p.state |= readable
	}
	if p.write() {
		p.read()
	}
}

// write hands on what has been kept of the client's. It reports false if the pair is no more.
func (p *pair) write() bool {
	if !p.is(writable) {
		return true
	}
	if !p.drained() {
		if !p.drain() {
			p.reset(&p.shard.stats.Broken)
			return false
		}
	}
	switch {
	case !p.drained():
	case p.conn == nil:
		p.leave(false)
		return false
	case p.is(clientEnd) && !p.is(clientCut):
		p.state |= clientCut
		_ = unix.Shutdown(p.fd, unix.SHUT_WR) // that it is reset by now, reading tells
	}
	return true
}

// drained reports whether nothing of the client's waits for the socket.
func (p *pair) drained() bool { return p.unsent == 0 && p.out.Empty() && len(p.rest) == 0 }

// drain writes as much as the socket takes; false: it is broken.
func (p *pair) drain() bool {
	broken := false
	send := func(b []byte) []byte {
		b, ok := p.send(b)
		broken = broken || !ok
		return b
	}
	if p.unsent > 0 {
		p.unsent = len(send(p.header[headerLen-p.unsent:]))
	}
	if p.unsent == 0 && !broken && !p.out.Empty() {
		p.out.Drain(p.conn, send)
	}
	if p.unsent == 0 && !broken && len(p.rest) > 0 {
		before := len(p.rest)
		p.rest = send(p.rest)
		p.shard.lingering -= before - len(p.rest)
	}
	return !broken
}

// send writes to the socket and returns what it did not take; false: it is broken.
func (p *pair) send(b []byte) ([]byte, bool) {
	for len(b) > 0 && p.is(writable) {
		n, err := unix.Write(p.fd, b)
		switch err {
		case nil:
			b = b[n:]
			p.shard.stats.ToTarget += uint64(n)
		case unix.EAGAIN:
			p.state &^= writable
		case unix.EINTR:
		default:
			return b, false
		}
	}
	return b, true
}

// read hands on what the server has sent, as far as the client's connection has room.
func (p *pair) read() {
	if p.fd < 0 || p.conn == nil {
		return
	}
	for reads := 0; p.flush() && p.is(readable) && !p.is(serverEnd); reads++ {
		if reads == maxReads {
			p.shard.again = append(p.shard.again, p.place)
			return
		}
		b := p.shard.buffer[:]
		n, err := unix.Read(p.fd, b)
		switch {
		case err == unix.EAGAIN:
			p.state &^= readable
		case err == unix.EINTR:
		case err != nil:
			p.reset(&p.shard.stats.Broken)
			return
		case n == 0:
			p.state |= serverEnd
			p.conn.CloseWrite()
		default:
			p.shard.stats.ToClient += uint64(n)
			if sent := p.conn.Write(b[:n]); sent < n {
				p.in, p.taken = p.shard.keep(b[sent:n]), 0
			}
		}
	}
}

// flush writes what was read before, and reports whether there is room for more.
func (p *pair) flush() bool {
	if p.in == nil {
		return true
	}
	if p.taken += p.conn.Write(p.in[p.taken:]); p.taken < len(p.in) {
		return false
	}
	p.shard.drop(p.in)
	p.in = nil
	return true
}

// reset ends both sides for a reason that is counted. The client's connection tells when it is closed.
func (p *pair) reset(reason *uint64) {
	*reason++
	if p.conn == nil {
		p.leave(true)
		return
	}
	p.closeSocket(true)
	p.conn.Abort()
}

// over is told that the client's connection is. What it has brought is still the server's, if it ended in order.
func (p *pair) over(c *stack.Conn, err error) {
	p.shard.drop(p.in)
	p.in = nil
	if err != nil || p.fd < 0 || p.drained() {
		p.out.Drop(c)
		p.leave(err != nil)
		return
	}
	p.rest = p.out.Detach(c)
	p.conn = nil
	if p.shard.lingering += len(p.rest); p.shard.lingering > maxLingering {
		p.reset(&p.shard.stats.Cut)
	}
}

// leave closes the socket and forgets the pair.
func (p *pair) leave(broken bool) {
	p.closeSocket(broken)
	p.shard.lingering -= len(p.rest)
	p.shard.remove(p)
}

// expire resets the connection if it has waited for too long.
func (p *pair) expire(now clock.Time) {
	switch {
	case p.fd < 0:
	case p.conn == nil && now.Sub(p.active) >= lingerTime:
		p.reset(&p.shard.stats.Cut)
	case !p.is(connected) && now.Sub(p.began) >= p.plan.Connect:
		p.failed(&p.shard.stats.Timeouts, now)
	case p.is(connected) && p.plan.Idle > 0 && now.Sub(p.active) >= p.plan.Idle:
		p.reset(&p.shard.stats.Idle)
	}
}

// closeSocket closes the kernel's socket, with a RST if the client's side did not end in order.
func (p *pair) closeSocket(broken bool) {
	if p.fd < 0 {
		return
	}
	if broken {
		_ = unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a FIN is the next best
	}
	_ = unix.Close(p.fd)
	p.fd = -1
}

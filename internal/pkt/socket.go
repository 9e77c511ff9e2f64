package pkt

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// socket is a descriptor of the script.
type socket struct {
	nonblock bool
	options  tcp.Config // of the connection to come
	cfg      *tcp.Config
	listen   *tcp.Listener
	queue    []*conn // of a listener: accepted by the core, not yet by the application
	conn     *conn
	keepIdle time.Duration  // TCP_KEEPIDLE; 0: default
	linger   *time.Duration // SO_LINGER
	reported bool           // the connection's error was told once
	noRead   bool           // SHUT_RD
}

// outcome is what a call returns.
type outcome struct {
	n     int64
	errno syscall.Errno
}

func fail(e syscall.Errno) outcome { return outcome{-1, e} }

// attempt tries to complete a call, and reports whether it did.
type attempt func() (outcome, bool)

// connErr returns the error that a call on a connection that ended with one gets, once; 0 if there is none.
func (s *socket) connErr() syscall.Errno {
	if s.conn == nil || s.conn.err == nil || s.reported {
		return 0
	}
	s.reported = true
	for _, e := range []syscall.Errno{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ECONNABORTED,
	} {
		if errors.Is(s.conn.err, e) {
			return e
		}
	}
	return syscall.EIO
}

func (r *runner) listen(s *socket, backlog int) outcome {
	if s.conn != nil || r.host.listener != nil {
		return fail(syscall.EINVAL)
	}
	var err error
	if s.cfg, err = r.host.core.NewConfig(s.options); err != nil {
		return fail(syscall.EINVAL)
	}
	cfg := r.set.listener
	cfg.Config, cfg.Backlog = s.cfg, max(backlog, 1)
	if s.listen, err = tcp.NewListener(r.host.core, cfg); err != nil {
		return fail(syscall.EINVAL)
	}
	r.host.listener = s
	r.host.flow.LocalPort, r.host.flow.RemotePort = servicePort, peerPort
	return outcome{}
}

// connect begins an active open; the call completes when the connection is established or has failed.
func (r *runner) connect(s *socket) attempt {
	h := r.host
	if c := s.conn; c != nil {
		return func() (outcome, bool) {
			switch e := s.connErr(); {
			case e != 0:
				return fail(e), true
			case !c.established && !c.gone:
				return fail(syscall.EALREADY), true
			}
			return fail(syscall.EISCONN), true
		}
	}
	var err error
	if s.cfg, err = h.core.NewConfig(s.options); err != nil {
		return func() (outcome, bool) { return fail(syscall.EINVAL), true }
	}
	h.flow.LocalPort, h.flow.RemotePort = firstPort, servicePort
	for slices.ContainsFunc(h.conns, func(c *conn) bool { return c.flow == h.flow }) || h.timeWait.Has(h.flow) {
		h.flow.LocalPort++
	}
	c := newConn(h.flow)
	s.conn = c
	r.wire.known = false
	c.tcp.Connect(h.core, c.flow, s.cfg, h.clock())
	h.conns = append(h.conns, c)
	return func() (outcome, bool) {
		switch {
		case c.established:
			return outcome{}, true
		case c.gone:
			return fail(s.connErr()), true
		case s.nonblock:
			return fail(syscall.EINPROGRESS), true
		}
		return outcome{}, false
	}
}

func (r *runner) accept(s *socket, fd int64) attempt {
	return func() (outcome, bool) {
		if s.listen == nil {
			return fail(syscall.EINVAL), true
		}
		if len(s.queue) == 0 {
			return fail(syscall.EAGAIN), s.nonblock
		}
		c := s.queue[0]
		s.queue = s.queue[1:]
		s.listen.Taken()
		r.sockets[fd] = &socket{conn: c, cfg: s.cfg, keepIdle: s.keepIdle}
		return outcome{n: fd}, true
	}
}

// write takes n bytes; a blocking one completes when all were taken.
func (r *runner) write(s *socket, n int, dontWait bool) attempt {
	total := 0
	return func() (outcome, bool) {
		c := s.conn
		if c == nil {
			return fail(syscall.EPIPE), true
		}
		if e := s.connErr(); e != 0 && total == 0 {
			return fail(e), true
		}
		if c.gone || c.closed || c.tcp.State() > tcp.StateEstablished && c.tcp.State() != tcp.StateCloseWait {
			return fail(syscall.EPIPE), true
		}
		b := make([]byte, n-total)
		for i := range b {
			b[i] = pattern(1 + c.wrote + uint32(i))
		}
		took := 0
		if c.established {
			took = c.tcp.Write(b)
		}
		total += took
		c.wrote += uint32(took)
		r.host.settle()
		switch {
		case total == n:
			return outcome{n: int64(n)}, true
		case !s.nonblock && !dontWait:
			return outcome{}, false
		case total == 0:
			return fail(syscall.EAGAIN), true
		}
		return outcome{n: int64(total)}, true
	}
}

// read completes when there is anything to read, or nothing more can come.
func (r *runner) read(s *socket, n int, dontWait bool) attempt {
	return func() (outcome, bool) {
		c := s.conn
		if c == nil {
			return fail(syscall.ENOTCONN), true
		}
		got, ok := c.take(r.host, n)
		switch {
		case !ok:
			r.trace = append(r.trace, traced{at: r.host.now, text: "the bytes read are not those that were sent there"})
			return fail(syscall.EIO), true
		case got > 0:
			r.host.settle()
			return outcome{n: int64(got)}, true
		}
		if e := s.connErr(); e != 0 {
			return fail(e), true
		}
		if c.eof || c.gone || s.noRead {
			return outcome{}, true
		}
		return fail(syscall.EAGAIN), s.nonblock || dontWait
	}
}

func (r *runner) shutdown(s *socket, how string) outcome {
	c := s.conn
	if c == nil || c.gone {
		return fail(syscall.ENOTCONN)
	}
	if how != "SHUT_WR" {
		s.noRead = true
	}
	if how != "SHUT_RD" {
		c.tcp.CloseWrite(r.host.clock())
	}
	return outcome{}
}

func (r *runner) close(fd int64, s *socket) outcome {
	delete(r.sockets, fd)
	h := r.host
	if s.listen != nil {
		s.listen.Close()
		h.listener = nil
		for _, c := range s.queue {
			if !c.gone {
				c.tcp.Abort(h.clock())
			}
		}
	}
	c := s.conn
	if c == nil || c.gone {
		return outcome{}
	}
	c.closed = true
	unread := len(c.rest) > 0
	c.rest = nil
	c.dropFrame(h)
	if unread || s.linger != nil && *s.linger == 0 {
		c.tcp.Abort(h.clock())
	} else {
		c.tcp.Close(h.clock())
	}
	return outcome{}
}

// lastConn returns the connection that the script last opened or accepted, also if it is gone.
func (r *runner) lastConn() *conn {
	if n := len(r.host.conns); n > 0 {
		return r.host.conns[n-1]
	}
	best := int64(-1)
	for fd, s := range r.sockets {
		if s.conn != nil && fd > best {
			best = fd
		}
	}
	if best < 0 {
		return nil
	}
	return r.sockets[best].conn
}

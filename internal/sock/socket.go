package sock

import (
	"errors"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// Socket is a TCP socket of a host.
type Socket struct {
	host     *Host
	options  tcp.Config // of the connection to come
	cfg      *tcp.Config
	port     uint16 // that is listened on
	listen   *tcp.Listener
	queue    []*Conn // of a listener: accepted by the core, not yet by the application
	conn     *Conn
	told     bool          // the connection's error was told once
	noRead   bool          // SHUT_RD
	keepIdle time.Duration // TCP_KEEPIDLE; 0: default
	fastOpen int           // TCP_FASTOPEN of a listener
}

// Socket makes a socket.
func (h *Host) Socket() *Socket { return &Socket{host: h, options: h.cfg.TCP} }

// Conn returns the socket's connection, or nil.
func (s *Socket) Conn() *Conn { return s.conn }

// Listening reports whether the socket listens.
func (s *Socket) Listening() bool { return s.listen != nil }

// Err returns the error that a call on a connection that ended with one gets, once; 0 if there is none.
func (s *Socket) Err() syscall.Errno {
	if s.conn == nil || s.conn.err == nil || s.told {
		return 0
	}
	s.told = true
	for _, e := range []syscall.Errno{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ECONNABORTED,
	} {
		if errors.Is(s.conn.err, e) {
			return e
		}
	}
	return syscall.EIO
}

// Listen accepts connections at a port.
func (s *Socket) Listen(port uint16, backlog int) syscall.Errno {
	h := s.host
	if s.conn != nil || s.listen != nil {
		return syscall.EINVAL
	}
	if h.listener(port) != nil {
		return syscall.EADDRINUSE
	}
	var err error
	if s.cfg, err = h.Core.NewConfig(s.options); err != nil {
		return syscall.EINVAL
	}
	cfg := h.cfg.Listener
	cfg.Config, cfg.Backlog, cfg.FastOpenBacklog = s.cfg, max(backlog, 1), s.fastOpen
	if s.listen, err = tcp.NewListener(h.Core, cfg); err != nil {
		return syscall.EINVAL
	}
	s.port = port
	h.listeners = append(h.listeners, s)
	return 0
}

// Connect begins an active open. Opened tells how it goes on.
func (s *Socket) Connect(f tcp.Flow) syscall.Errno {
	if c := s.conn; c != nil {
		switch e := s.Err(); {
		case e != 0:
			return e
		case !c.Established && !c.Gone:
			return syscall.EALREADY
		}
		return syscall.EISCONN
	}
	h := s.host
	if s.listen != nil || h.Has(f) {
		return syscall.EADDRINUSE
	}
	var err error
	if s.cfg, err = h.Core.NewConfig(s.options); err != nil {
		return syscall.EINVAL
	}
	c := newConn(f)
	s.conn = c
	c.tcp.Connect(h.Core, f, s.cfg, h.now)
	h.conns = append(h.conns, c)
	return 0
}

// Opened returns what came of Connect: 0, an error, or EINPROGRESS.
func (s *Socket) Opened() syscall.Errno {
	switch c := s.conn; {
	case c.Established:
		return 0
	case c.Gone:
		return s.Err()
	}
	return syscall.EINPROGRESS
}

// Accept returns a socket with the next connection of a listener.
func (s *Socket) Accept() (*Socket, syscall.Errno) {
	if s.listen == nil {
		return nil, syscall.EINVAL
	}
	if len(s.queue) == 0 {
		return nil, syscall.EAGAIN
	}
	c := s.queue[0]
	s.queue = s.queue[1:]
	s.listen.Taken()
	return &Socket{host: s.host, options: s.options, conn: c, cfg: s.cfg, keepIdle: s.keepIdle}, 0
}

// Write takes as much of p as there is room for; if that is nothing, the error is EAGAIN.
func (s *Socket) Write(p []byte) (int, syscall.Errno) {
	c := s.conn
	if c == nil {
		return 0, syscall.EPIPE
	}
	if e := s.Err(); e != 0 {
		return 0, e
	}
	if c.Gone || c.closed || c.tcp.State() > tcp.StateEstablished && c.tcp.State() != tcp.StateCloseWait {
		return 0, syscall.EPIPE
	}
	if len(p) == 0 {
		return 0, 0
	}
	n := 0
	if c.Established {
		n = c.tcp.Write(p)
	}
	s.host.Settle()
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	return n, 0
}

// Read takes what there is to read; 0 without an error is the end of the stream.
func (s *Socket) Read(p []byte) (int, syscall.Errno) {
	c := s.conn
	if c == nil {
		return 0, syscall.ENOTCONN
	}
	if !c.Gone && c.tcp.Held() {
		c.tcp.SendSYN(s.host.now)
		s.host.Settle()
	}
	if n := c.take(s.host, p); n > 0 {
		s.host.Settle()
		return n, 0
	}
	if e := s.Err(); e != 0 {
		return 0, e
	}
	if c.EOF || c.Gone || s.noRead || len(p) == 0 {
		return 0, 0
	}
	return 0, syscall.EAGAIN
}

// Shutdown ends one or both directions.
func (s *Socket) Shutdown(read, write bool) syscall.Errno {
	c := s.conn
	if c == nil || c.Gone {
		return syscall.ENOTCONN
	}
	if read {
		s.noRead = true
	}
	if write {
		c.tcp.CloseWrite(s.host.now)
	}
	s.host.Settle()
	return 0
}

// Close ends the socket's listening or connection.
func (s *Socket) Close() {
	h := s.host
	defer h.Settle()
	if s.listen != nil {
		s.listen.Close()
		for i, l := range h.listeners {
			if l == s {
				h.listeners = append(h.listeners[:i], h.listeners[i+1:]...)
				break
			}
		}
		for _, c := range s.queue {
			if !c.Gone {
				c.tcp.Abort(h.now)
			}
		}
	}
	c := s.conn
	if c == nil || c.Gone {
		return
	}
	c.closed = true
	unread := len(c.rest) > 0
	c.rest = nil
	c.dropFrame(h)
	if unread {
		c.tcp.Abort(h.now)
	} else {
		c.tcp.Close(h.now)
	}
}

// Ready is what a socket is ready for, as poll tells it.
type Ready struct{ In, Out, RDHup, Hup, Err bool }

// Ready returns what the socket is ready for.
func (s *Socket) Ready() Ready {
	r := Ready{In: len(s.queue) > 0}
	if c := s.conn; c != nil {
		info := c.Info()
		r.In = info.Unread > 0 || len(c.rest) > 0 || c.EOF || c.Gone || s.noRead
		r.RDHup = c.EOF || c.Gone
		r.Out = c.Gone || c.Established && c.writable(info)
		r.Hup = c.Gone
		r.Err = c.err != nil && !s.told
	}
	return r
}

// writable reports whether the connection is worth writing to: a good part of the send buffer is free, and of what may wait to be sent.
func (c *Conn) writable(info tcp.Info) bool {
	lowat := int(c.tcp.Config().NotSentLowat)
	return info.Unsent+info.Unacked < int(info.SendBuffer)*3/4 && (lowat == 0 || info.Unsent <= lowat/2)
}

// Config returns the configuration that the socket's connection has or will have.
func (s *Socket) Config() tcp.Config {
	switch {
	case s.conn != nil && !s.conn.Gone:
		return s.conn.tcp.Config()
	case s.cfg != nil:
		return *s.cfg
	}
	cfg, err := s.host.Core.NewConfig(s.options)
	if err != nil {
		return s.options
	}
	return *cfg
}

// Package kernel serves the benchmarks' ports on the kernel's own TCP: one thread and one epoll loop, the leanest that Go does on
// sockets. It wakes once for many connections, where net.Listener with a goroutine for each wakes one for each.
package kernel

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// Server is a listening set of sockets.
type Server struct {
	poll  int
	conns map[int]*conn // by descriptor
	buf   []byte
}

type conn struct {
	fd     int
	port   uint16
	listen bool
	http   app.HTTP
}

// NewServer listens on addr on the benchmarks' ports.
func NewServer(addr [4]byte, congestion string) (*Server, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("kernel: epoll: %w", err)
	}
	s := &Server{poll: poll, conns: make(map[int]*conn), buf: make([]byte, 256<<10)}
	for _, port := range []uint16{app.EchoPort, app.DiscardPort, app.SourcePort, app.HTTPPort} {
		if err := s.listen(addr, port, congestion); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (s *Server) listen(addr [4]byte, port uint16, congestion string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("kernel: socket: %w", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil { // accepted connections inherit it
		err = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: addr, Port: int(port)})
	}
	if err == nil {
		err = unix.Listen(fd, 4096)
	}
	if err == nil {
		err = s.add(&conn{fd: fd, port: port, listen: true}, unix.EPOLLIN)
	}
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("kernel: listen on port %d: %w", port, err)
	}
	return nil
}

func (s *Server) add(c *conn, events uint32) error {
	if err := unix.EpollCtl(s.poll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)}); err != nil {
		return err
	}
	s.conns[c.fd] = c
	return nil
}

// Run serves until the context ends.
func (s *Server) Run(ctx context.Context) error {
	events := make([]unix.EpollEvent, 512)
	for ctx.Err() == nil {
		n, err := unix.EpollWait(s.poll, events, 100)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("kernel: epoll wait: %w", err)
		}
		for i := range max(0, n) {
			if c := s.conns[int(events[i].Fd)]; c != nil {
				s.run(c)
			}
		}
	}
	return nil
}

func (s *Server) run(c *conn) {
	switch {
	case c.listen:
		s.accept(c)
	case c.port == app.DiscardPort:
		if _, ok := s.read(c); !ok {
			s.drop(c)
		}
	case c.port == app.SourcePort:
		if _, err := unix.Write(c.fd, app.Chunk); err != nil && err != unix.EAGAIN {
			s.drop(c)
		}
	case c.port == app.EchoPort:
		s.echo(c)
	default:
		s.serve(c)
	}
}

// echo sends back what it read. A peer that does not read what it asked for loses its connection.
func (s *Server) echo(c *conn) {
	n, ok := s.read(c)
	if ok && n > 0 {
		sent, err := unix.Write(c.fd, s.buf[:n])
		ok = err == nil && sent == n
	}
	if !ok {
		s.drop(c)
	}
}

func (s *Server) accept(l *conn) {
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		events := uint32(unix.EPOLLIN)
		if l.port == app.SourcePort {
			events = unix.EPOLLOUT
		}
		if s.add(&conn{fd: fd, port: l.port}, events) != nil {
			_ = unix.Close(fd)
		}
	}
}

// read reads once; what is left makes the next epoll event. It reports false at the end of the connection.
func (s *Server) read(c *conn) (n int, ok bool) {
	n, err := unix.Read(c.fd, s.buf)
	if err == unix.EAGAIN || err == unix.EINTR {
		return 0, true
	}
	return n, err == nil && n > 0
}

func (s *Server) serve(c *conn) {
	n, ok := s.read(c)
	if !ok {
		s.drop(c)
		return
	}
	for range c.http.Requests(s.buf[:n]) {
		if _, err := unix.Write(c.fd, app.Response); err != nil {
			s.drop(c)
			return
		}
	}
	if c.http.Close {
		s.drop(c)
	}
}

func (s *Server) drop(c *conn) {
	delete(s.conns, c.fd)
	_ = unix.Close(c.fd)
}

// Close closes every socket.
func (s *Server) Close() error {
	for _, c := range s.conns {
		s.drop(c)
	}
	return unix.Close(s.poll)
}

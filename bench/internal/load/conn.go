package load

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// connect starts a connection in a slot.
func (g *generator) connect(c *conn) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("load: socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if g.cfg.Work == Receive || g.cfg.Work == Send { // elsewhere the namespace's default will do, and costs no system call
		if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, g.cfg.Congestion); err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("load: choose %s: %w", g.cfg.Congestion, err)
		}
	}
	*c = conn{fd: fd, slot: c.slot, state: connecting, begun: time.Now()}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: g.cfg.Addr, Port: int(g.port)})
	if err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		c.state = idle
		return fmt.Errorf("load: connect: %w", err)
	}
	// Bulk work is level triggered, so that each turn of the loop does one read or write; the rest is edge triggered, so that a
	// socket that can always be written to stays quiet.
	events := uint32(unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET&0xffffffff)
	switch g.cfg.Work {
	case Receive:
		events = unix.EPOLLOUT
	case Send:
		events = unix.EPOLLIN | unix.EPOLLOUT
	}
	return g.control(unix.EPOLL_CTL_ADD, c, events)
}

func (g *generator) control(op int, c *conn, events uint32) error {
	// The slot is what comes back with an event: Fd and Pad together are the 64 bits of user data.
	if err := unix.EpollCtl(g.poll, op, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd), Pad: int32(c.slot)}); err != nil {
		return fmt.Errorf("load: epoll: %w", err)
	}
	return nil
}

// event handles what epoll reports about a connection. An error ends the run.
func (g *generator) event(c *conn, events uint32) error {
	if c.state == connecting {
		if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
			return nil
		}
		if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			return g.failed(c, fmt.Errorf("load: connect: %w", unix.Errno(code)))
		}
		c.state = running
		g.moved++
		if g.cfg.Work == Send { // from now on there is nothing to write
			return g.control(unix.EPOLL_CTL_MOD, c, unix.EPOLLIN)
		}
		if err := g.request(c, c.begun); err != nil {
			return err
		}
	}
	switch g.cfg.Work {
	case Receive:
		return g.write(c)
	case Send:
		return g.read(c)
	case HTTP, Ping:
		return g.responses(c)
	default:
		return g.last(c)
	}
}

// failed counts a connection that went wrong and, where connections come and go, starts the next.
func (g *generator) failed(c *conn, err error) error {
	g.lastErr = err
	g.errors++
	_ = unix.Close(c.fd)
	c.state = idle
	if g.cfg.Work == Connect {
		return g.connect(c)
	}
	return err
}

func (g *generator) write(c *conn) error {
	n, err := unix.Write(c.fd, g.buf)
	if err != nil && err != unix.EAGAIN && err != unix.EINTR {
		return g.failed(c, fmt.Errorf("load: write: %w", err))
	}
	g.moved += uint64(max(0, n))
	return nil
}

func (g *generator) read(c *conn) error {
	n, err := unix.Read(c.fd, g.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return g.failed(c, fmt.Errorf("load: read: %w", err))
	case n == 0:
		return g.failed(c, fmt.Errorf("load: the server closed the connection"))
	}
	g.moved += uint64(n)
	g.count += uint64(n)
	return nil
}

// request sends the request of the work.
func (g *generator) request(c *conn, begun time.Time) error {
	r := app.KeepAlive
	switch g.cfg.Work {
	case Connect:
		r = app.OneShot
	case Ping:
		r = app.Ping
	case HTTP:
	default:
		return nil
	}
	c.begun, c.got = begun, 0
	if n, err := unix.Write(c.fd, r); err != nil || n != len(r) {
		return g.failed(c, fmt.Errorf("load: send a request: %d of %d bytes: %w", n, len(r), err))
	}
	return nil
}

// responses reads until there is no more, and asks again after each whole response.
func (g *generator) responses(c *conn) error {
	for {
		n, err := unix.Read(c.fd, g.buf[:4096])
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return g.failed(c, fmt.Errorf("load: read a response: %d bytes, %w", n, err))
		}
		if done, err := g.answered(c, g.buf[:n]); err != nil {
			return err
		} else if !done {
			continue
		}
		now := time.Now()
		g.finished(now.Sub(c.begun))
		if err := g.request(c, now); err != nil {
			return err
		}
		if n < 4096 {
			return nil // the response was all there was: the next edge announces the next one
		}
	}
}

// last reads the one response of a connection, to its end, and starts the next connection.
func (g *generator) last(c *conn) error {
	for {
		n, err := unix.Read(c.fd, g.buf[:4096])
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return g.failed(c, fmt.Errorf("load: read the response: %w", err))
		case n > 0:
			done, err := g.answered(c, g.buf[:n])
			if err != nil {
				return err
			}
			c.done = c.done || done
			continue
		case !c.done:
			return g.failed(c, fmt.Errorf("load: the connection ended before the response was complete"))
		}
		g.finished(time.Since(c.begun))
		_ = unix.Close(c.fd)
		c.state = idle
		return g.connect(c)
	}
}

// answered takes a part of the answer and reports whether it is complete.
func (g *generator) answered(c *conn, p []byte) (bool, error) {
	if g.cfg.Work != Ping {
		done, err := c.answer.Add(p)
		if err != nil {
			err = fmt.Errorf("load: %w", err)
		}
		return done, err
	}
	if c.got+len(p) > len(app.Ping) || !bytes.Equal(p, app.Ping[c.got:c.got+len(p)]) {
		return false, fmt.Errorf("load: wrong echo at byte %d: %q", c.got, p)
	}
	c.got += len(p)
	return c.got == len(app.Ping), nil
}

func (g *generator) finished(d time.Duration) {
	g.moved++
	g.count++
	if g.measuring {
		_ = g.latency.RecordValue(int64(d)) // beyond a minute is beyond the window as well
	}
}

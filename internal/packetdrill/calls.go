package packetdrill

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/sock"
	"github.com/xdpstack/xdpstack/tcp"
)

// firstEphemeral is where the ports begin that connections get that have none.
const firstEphemeral = 32768

// file is an open descriptor.
type file struct {
	sock     *sock.Socket
	nonblock bool
	local    netip.AddrPort // that was bound; its port is 0 if none was
}

// Socket opens a TCP socket and returns its descriptor, which is one of /dev/null.
func (s *Stack) Socket(domain, kind, protocol int) (int, syscall.Errno) {
	switch {
	case domain != unix.AF_INET:
		return 0, syscall.EAFNOSUPPORT
	case kind&0xf != unix.SOCK_STREAM || protocol != 0 && protocol != unix.IPPROTO_TCP:
		return 0, syscall.EPROTONOSUPPORT
	}
	s.enter()
	defer s.leave()
	return s.install(&file{sock: s.host.Socket(), nonblock: kind&unix.SOCK_NONBLOCK != 0})
}

// install gives a file a descriptor.
func (s *Stack) install(f *file) (int, syscall.Errno) {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, errno(err)
	}
	if old := s.files[fd]; old != nil {
		old.sock.Close() // The program has closed it behind our back, or the number would not be free.
	}
	s.files[fd] = f
	return fd, 0
}

// errno returns the number of an error of a system call, 0 for none.
func errno(err error) syscall.Errno {
	var e syscall.Errno
	if err != nil && !errors.As(err, &e) {
		return syscall.EIO
	}
	return e
}

// Bind gives a socket a local address.
func (s *Stack) Bind(fd int, addr netip.AddrPort) syscall.Errno {
	return s.with(fd, func(f *file) syscall.Errno {
		if f.local.Port() != 0 {
			return syscall.EINVAL
		}
		if addr.Port() == 0 {
			addr = netip.AddrPortFrom(addr.Addr(), s.nextPort())
		}
		f.local = addr
		return 0
	})
}

// Listen accepts connections.
func (s *Stack) Listen(fd, backlog int) syscall.Errno {
	return s.with(fd, func(f *file) syscall.Errno {
		if f.local.Port() == 0 {
			f.local = netip.AddrPortFrom(s.local.Netip(), s.nextPort())
		}
		return f.sock.Listen(f.local.Port(), backlog)
	})
}

// Accept returns the descriptor of the next connection, and the peer's address.
func (s *Stack) Accept(fd int) (n int, peer netip.AddrPort, e syscall.Errno) {
	n, e = s.try(fd, false, func(f *file) (int, syscall.Errno) {
		c, e := f.sock.Accept()
		if e != 0 {
			return 0, e
		}
		peer = c.Conn().Flow().Remote()
		return s.install(&file{sock: c, local: f.local})
	})
	return n, peer, e
}

// Connect opens a connection.
func (s *Stack) Connect(fd int, addr netip.AddrPort) syscall.Errno {
	begun := false
	_, e := s.try(fd, false, func(f *file) (int, syscall.Errno) {
		if !begun {
			begun = true
			if e := f.sock.Connect(s.flow(f, addr)); e != 0 {
				return 0, e
			}
			s.host.Settle()
		}
		e := f.sock.Opened()
		if e == syscall.EINPROGRESS && !f.nonblock {
			e = syscall.EAGAIN
		}
		return 0, e
	})
	return e
}

// flow returns the addresses and ports of a connection that is to be opened.
func (s *Stack) flow(f *file, addr netip.AddrPort) tcp.Flow {
	w := tcp.Flow{LocalAddr: s.local, RemoteAddr: addr.Addr().As4(), LocalPort: f.local.Port(), RemotePort: addr.Port()}
	if a := f.local.Addr(); a.Is4() && !a.IsUnspecified() {
		w.LocalAddr = a.As4()
	}
	if w.LocalPort == 0 {
		w.LocalPort = s.nextPort()
	}
	f.local = w.Local()
	return w
}

func (s *Stack) nextPort() uint16 {
	s.port = max(s.port+1, firstEphemeral)
	return s.port
}

// Read reads into b: recv with flags.
func (s *Stack) Read(fd int, b []byte, flags int) (int, syscall.Errno) {
	if flags&^unix.MSG_DONTWAIT != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	return s.try(fd, flags&unix.MSG_DONTWAIT != 0, func(f *file) (int, syscall.Errno) { return f.sock.Read(b) })
}

// Write writes b: send with flags. A socket that blocks takes all of it.
func (s *Stack) Write(fd int, b []byte, flags int) (int, syscall.Errno) {
	if flags&^(unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	total := 0
	n, e := s.try(fd, flags&unix.MSG_DONTWAIT != 0, func(f *file) (int, syscall.Errno) {
		n, e := f.sock.Write(b[total:])
		if total += n; e == 0 && total < len(b) {
			e = syscall.EAGAIN
		}
		return total, e
	})
	if total > 0 {
		return total, 0
	}
	return n, e
}

// SendFast is sendto with MSG_FASTOPEN: the data goes with the SYN if there is a cookie for the peer.
func (s *Stack) SendFast(fd int, b []byte, flags int, addr netip.AddrPort) (int, syscall.Errno) {
	e := s.with(fd, func(f *file) syscall.Errno {
		if f.sock.Conn() != nil {
			return 0
		}
		return f.sock.SetOption("TCP_FASTOPEN_CONNECT", sock.Value{N: 1})
	})
	if e == 0 {
		e = s.Connect(fd, addr)
	}
	if e != 0 && e != syscall.EISCONN {
		return 0, e
	}
	return s.Write(fd, b, flags&^unix.MSG_FASTOPEN)
}

// Shutdown ends one or both directions.
func (s *Stack) Shutdown(fd, how int) syscall.Errno {
	if how < unix.SHUT_RD || how > unix.SHUT_RDWR {
		return syscall.EINVAL
	}
	return s.with(fd, func(f *file) syscall.Errno { return f.sock.Shutdown(how != unix.SHUT_WR, how != unix.SHUT_RD) })
}

// CloseFile closes a descriptor.
func (s *Stack) CloseFile(fd int) syscall.Errno {
	return s.with(fd, func(f *file) syscall.Errno {
		f.sock.Close()
		delete(s.files, fd)
		return errno(unix.Close(fd))
	})
}

// Nonblock returns whether a descriptor's calls do not wait, and changes it if set is not nil.
func (s *Stack) Nonblock(fd int, set *bool) (on bool, e syscall.Errno) {
	e = s.with(fd, func(f *file) syscall.Errno {
		if set != nil {
			f.nonblock = *set
		}
		on = f.nonblock
		return 0
	})
	return on, e
}

// Queued returns how many bytes wait to be read, and how many were written and are not acknowledged (SIOCINQ, SIOCOUTQ).
func (s *Stack) Queued(fd int) (in, out int, e syscall.Errno) {
	e = s.with(fd, func(f *file) syscall.Errno {
		c := f.sock.Conn()
		if c == nil {
			return syscall.EINVAL
		}
		info := c.Info()
		in, out = int(info.Unread), info.Unacked+info.Unsent
		return 0
	})
	return in, out, e
}

// with calls do with the file of a descriptor.
func (s *Stack) with(fd int, do func(*file) syscall.Errno) syscall.Errno {
	s.enter()
	defer s.leave()
	f := s.files[fd]
	if f == nil || s.closed {
		return syscall.EBADF
	}
	return do(f)
}

// try calls do with the file of a descriptor until it is complete, if the file waits for that.
func (s *Stack) try(fd int, dontWait bool, do func(*file) (int, syscall.Errno)) (int, syscall.Errno) {
	s.mu.Lock()
	f := s.files[fd]
	s.mu.Unlock()
	if f == nil {
		return 0, syscall.EBADF
	}
	return s.wait(f.nonblock || dontWait, time.Time{}, func() (int, syscall.Errno) {
		if s.files[fd] != f {
			return 0, syscall.EBADF
		}
		return do(f)
	})
}

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Dial is DialContext without a bound.
func (s *Side) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialContext connects from inside the namespace. The network is "tcp" or "udp", the address a literal "1.2.3.4:80". It fits
// [net/http.Transport.DialContext].
//
// The socket is made inside and connected from wherever the goroutine runs then: a thousand connections that wait for their
// handshakes keep no thread busy.
func (s *Side) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, fmt.Errorf("netlab: dial %s %s from %s: %w", network, address, s.Namespace, err)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(err)
	}
	kind := unix.SOCK_STREAM
	switch network {
	case "tcp", "tcp4":
	case "udp", "udp4":
		kind = unix.SOCK_DGRAM
	default:
		return fail(net.UnknownNetworkError(network))
	}
	if !to.Addr().Is4() {
		return fail(errors.New("not an IPv4 address"))
	}
	var fd int
	err = s.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		return fail(err)
	}
	file := os.NewFile(uintptr(fd), network+" "+address)
	defer file.Close() // FileConn works on a duplicate
	if err := connect(ctx, file, fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return fail(err)
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return fail(err)
	}
	return conn, nil
}

// connect connects the non-blocking socket fd, which file owns, and waits for the outcome in the runtime's poller.
func connect(ctx context.Context, file *os.File, fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("connect", err)
	}
	// The past deadline ends the wait below when ctx is done first.
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var outcome error
	err = raw.Write(func(uintptr) bool {
		errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			outcome = os.NewSyscallError("getsockopt", err)
			return true
		case errno != 0:
			outcome = os.NewSyscallError("connect", unix.Errno(errno))
			return true
		}
		_, err = unix.Getpeername(fd) // ENOTCONN until the handshake is complete
		return err == nil
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return outcome
}

// Listen listens inside the namespace, as [net.Listen] does.
func (s *Side) Listen(network, address string) (ln net.Listener, err error) {
	err = s.Do(func() (err error) {
		ln, err = net.Listen(network, address)
		return err
	})
	return ln, err
}

// ListenPacket listens inside the namespace, as [net.ListenPacket] does.
func (s *Side) ListenPacket(network, address string) (pc net.PacketConn, err error) {
	err = s.Do(func() (err error) {
		pc, err = net.ListenPacket(network, address)
		return err
	})
	return pc, err
}

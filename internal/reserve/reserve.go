package reserve

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Protocols of ports.
const (
	TCP = unix.IPPROTO_TCP
	UDP = unix.IPPROTO_UDP
)

// Port is a port that is reserved until it is closed.
type Port struct {
	fd   int
	port uint16
}

// Bind reserves a port of an address, or with 0.0.0.0 of all addresses; port 0 has the kernel choose one. It is to be called on a
// thread of the network namespace. The error matches syscall.EADDRINUSE if somebody has it, and names him where that can be found
// out; it matches syscall.EADDRNOTAVAIL if the kernel does not have the address.
func Bind(protocol uint8, a netip.Addr, port uint16) (*Port, error) {
	p, err := bind(protocol, a, port, false)
	if errors.Is(err, unix.EADDRINUSE) {
		owners := Owners(protocol, a, port)
		if onlyWaits(owners) {
			p, err = bind(protocol, a, port, true)
		}
		if err != nil {
			return nil, fmt.Errorf("reserve %s port %d of %v in the kernel: %s (%w)", name(protocol), port, a, describe(owners), err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reserve %s port %d of %v in the kernel: %w%s", name(protocol), port, a, err, cure(err, port))
	}
	return p, nil
}

// bind is Bind with plain errors. reuse takes a port from connections in TIME-WAIT.
func bind(protocol uint8, a netip.Addr, port uint16, reuse bool) (*Port, error) {
	kind := unix.SOCK_STREAM
	if protocol == UDP {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
	if err != nil {
		return nil, err
	}
	if protocol == UDP { // Fragments come to the kernel, which puts them together for this socket. Nobody reads it.
		err = refuseAll(fd)
	}
	if err == nil && reuse {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: a.As4()})
	}
	if err == nil { // Without it nobody else can listen on the port, even if he would share it.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
	}
	p := &Port{fd: fd, port: port}
	if err == nil && port == 0 {
		var at unix.Sockaddr
		if at, err = unix.Getsockname(fd); err == nil {
			p.port = uint16(at.(*unix.SockaddrInet4).Port)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return p, nil
}

// refuseAll has a socket take no packets.
func refuseAll(fd int) error {
	const drop = unix.BPF_RET | unix.BPF_K
	filter := [1]unix.SockFilter{{Code: drop}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &filter[0]})
}

// Number returns the port's number.
func (p *Port) Number() uint16 { return p.port }

// Close gives the port back. Another process that has its File keeps it. Closing it again does nothing.
func (p *Port) Close() error {
	fd := p.fd
	if p.fd = -1; fd < 0 {
		return nil
	}
	return unix.Close(fd)
}

// BindSome reserves n ports, the first free ones of those that next gives, of all addresses. If that gives no more of them it
// returns what it has.
func BindSome(protocol uint8, n int, next func(i int) (port uint16, ok bool)) ([]*Port, error) {
	ports := make([]*Port, 0, n)
	for i := 0; len(ports) < n; i++ {
		number, ok := next(i)
		if !ok {
			break
		}
		p, err := bind(protocol, netip.IPv4Unspecified(), number, false)
		switch {
		case err == nil:
			ports = append(ports, p)
		case !errors.Is(err, unix.EADDRINUSE):
			for _, p := range ports {
				_ = p.Close()
			}
			return nil, fmt.Errorf("reserve %s port %d in the kernel, after %d others: %w%s", name(protocol), number, len(ports), err,
				cure(err, number))
		}
	}
	return ports, nil
}

func cure(err error, port uint16) string {
	switch {
	case errors.Is(err, unix.EMFILE):
		return ": each port is an open file: raise the limit, with ulimit -n or LimitNOFILE=, or reserve fewer"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return ": the kernel does not have the address"
	case errors.Is(err, unix.EACCES):
		return fmt.Sprintf(": ports below net.ipv4.ip_unprivileged_port_start (1024) are for who has CAP_NET_BIND_SERVICE, and a process "+
			"that gave up its privileges has not: have it take the port at its start, before that, so restart it; or allow the "+
			"port to all processes, with sysctl -w net.ipv4.ip_unprivileged_port_start=%d", port)
	}
	return ""
}

func name(protocol uint8) string {
	if protocol == UDP {
		return "UDP"
	}
	return "TCP"
}

package reserve

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// File returns the port as an open file, for another process, in which it stays reserved: see Adopt. The caller closes it.
func (p *Port) File() (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("reserve: hand over port %d: %w", p.port, err)
	}
	return os.NewFile(uintptr(fd), "port"), nil
}

// Adopt makes a Port of a File, in whatever process, without any privilege, and tells what it is. The file stays the caller's.
func Adopt(f *os.File) (p *Port, protocol uint8, at netip.Addr, err error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, 0, at, fmt.Errorf("reserve: take a port over: %w", err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(fd)
	}
	v4, ok := name.(*unix.SockaddrInet4)
	if err == nil && (!ok || v4.Port == 0 || kind != TCP && kind != UDP) {
		err = unix.EPROTOTYPE
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, 0, at, fmt.Errorf("reserve: take a port over: %w", err)
	}
	return &Port{fd: fd, port: uint16(v4.Port)}, uint8(kind), netip.AddrFrom4(v4.Addr), nil
}

package reserve

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// idle returns who has a TCP socket that is bound to a port and nothing else, as another reservation is. /proc does not list these, and
// sock_diag only since Linux 6.8, where it is built in at all. So the sockets of all processes are looked at that we may look into, each
// through a copy of it that is closed again at once.
func idle(a netip.Addr, port uint16) (owners []Owner) {
	here, err := namespaceCookie()
	if err != nil {
		return nil
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		process, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if hasIdle(path, process, here, a, port) {
			owners = append(owners, Owner{State: "bound", PID: pid, Name: command(pid)})
		}
		_ = unix.Close(process)
	}
	return owners
}

// hasIdle reports whether a process has such a socket.
func hasIdle(path string, process int, namespace uint64, a netip.Addr, port uint16) bool {
	descriptors, _ := filepath.Glob(path + "/fd/*")
	for _, name := range descriptors {
		if link, err := os.Readlink(name); err != nil || !strings.HasPrefix(link, "socket:") {
			continue
		}
		number, _ := strconv.Atoi(filepath.Base(name))
		fd, err := unix.PidfdGetfd(process, number, 0)
		if err != nil {
			continue
		}
		found := isBound(fd, namespace, a, port)
		_ = unix.Close(fd)
		if found {
			return true
		}
	}
	return false
}

// isBound reports whether a socket is of TCP and bound to a port of an address, in a network namespace.
func isBound(fd int, namespace uint64, a netip.Addr, port uint16) bool {
	if protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || protocol != TCP {
		return false
	}
	if cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err != nil || cookie != namespace {
		return false
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return at.Port == int(port) && overlap(netip.AddrFrom4(at.Addr), a)
	case *unix.SockaddrInet6:
		return at.Port == int(port) && overlap(netip.AddrFrom16(at.Addr), a)
	}
	return false
}

// namespaceCookie returns the number of the calling thread's network namespace.
func namespaceCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Target is where connections are handed on to.
type Target struct {
	Kernel bool           // through a socket of the kernel's; else through the stack
	Addr   netip.AddrPort // IPv4; of the kernel's, IPv6 too
	Path   string         // of the kernel's: a Unix socket in place of Addr
}

// ParseTarget reads kernel:ADDR:PORT, kernel:/PATH or stack:ADDR:PORT.
func ParseTarget(text string) (t Target, err error) {
	kind, where, ok := strings.Cut(text, ":")
	switch {
	case !ok || kind != "kernel" && kind != "stack":
		return t, fmt.Errorf("target %q: want kernel:ADDR:PORT, kernel:/PATH of a Unix socket, or stack:ADDR:PORT", text)
	case kind == "kernel" && filepath.IsAbs(where):
		if limit := len(unix.RawSockaddrUnix{}.Path); len(where) >= limit {
			return t, fmt.Errorf("target %q: the path is longer than the %d bytes that a socket's may have", text, limit-1)
		}
		return Target{Kernel: true, Path: where}, nil
	}
	t.Kernel = kind == "kernel"
	if t.Addr, err = netip.ParseAddrPort(where); err != nil {
		return t, fmt.Errorf("target %q: %w", text, err)
	}
	t.Addr = netip.AddrPortFrom(t.Addr.Addr().Unmap(), t.Addr.Port())
	switch a := t.Addr.Addr(); {
	case t.Addr.Port() == 0:
		err = errors.New("there is no port 0")
	case a.Zone() != "":
		err = errors.New("addresses with a zone are not supported")
	case !t.Kernel && !a.Is4():
		err = errors.New("the stack has IPv4 only")
	case a.IsUnspecified() || a.IsMulticast():
		err = errors.New("want the address of a single host")
	}
	if err != nil {
		return t, fmt.Errorf("target %q: %w", text, err)
	}
	return t, nil
}

// UnmarshalText reads what ParseTarget does.
func (t *Target) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTarget(string(text))
	return err
}

func (t Target) String() string {
	switch {
	case t.Path != "":
		return "kernel:" + t.Path
	case t.Kernel:
		return "kernel:" + t.Addr.String()
	}
	return "stack:" + t.Addr.String()
}

// sockaddr returns the address as the kernel has it, and the family of its socket.
func (t Target) sockaddr() (family int, sa unix.Sockaddr) {
	switch {
	case t.Path != "":
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: t.Path}
	case t.Addr.Addr().Is4():
		return unix.AF_INET, &unix.SockaddrInet4{Addr: t.Addr.Addr().As4(), Port: int(t.Addr.Port())}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: t.Addr.Addr().As16(), Port: int(t.Addr.Port())}
}

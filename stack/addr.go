package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/xdpstack/xdpstack/ipv4"
)

// localAddr reads an address to listen on: the host is empty or 0.0.0.0 for all addresses of the stack, or one of them.
func (s *Stack) localAddr(address string) (endpoint, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return endpoint{}, err
	}
	port, err := parsePort(service)
	if err != nil {
		return endpoint{}, err
	}
	if host == "" || host == "0.0.0.0" {
		return endpoint{port: port}, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return endpoint{}, err
	}
	a, err := s.ownAddr(ip)
	return s.endpoint(a, port), err
}

// ownAddr returns an address of the stack's, or an error if it is not.
func (s *Stack) ownAddr(ip netip.Addr) (ipv4.Addr, error) {
	a, ok := ipv4.AddrFrom(ip)
	switch {
	case ok && s.owns(a):
		return a, nil
	case s.shared != nil:
		return a, fmt.Errorf("%w: %v; the kernel has %v on %s", ErrNotOwned, ip, s.shared.addresses(), s.cfg.Interface)
	case s.others.Len() > 0:
		return a, fmt.Errorf("%w: %v; it has %v and %v", ErrNotOwned, ip, s.address.Addr(), &s.others)
	}
	return a, fmt.Errorf("%w: %v; it has %v", ErrNotOwned, ip, s.address.Addr())
}

// owns reports whether an address is one of the stack's, for goroutines that are no shard's.
func (s *Stack) owns(a ipv4.Addr) bool {
	at := s.addressing()
	return !a.IsUnspecified() && at.owns(a)
}

func parsePort(service string) (uint16, error) {
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port %q is not a number within 0 to 65535", service)
	}
	return uint16(n), nil
}

// remoteAddr reads an address to connect to, asking the system's resolver about a name.
func (s *Stack) remoteAddr(ctx context.Context, address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := parsePort(service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		if err != nil {
			return netip.AddrPort{}, err
		}
		ip = ips[0]
	}
	remote := netip.AddrPortFrom(ip.Unmap(), port)
	return remote, checkRemote(remote)
}

// checkRemote refuses what no connection can be opened to (RFC 9293 MUST-46).
func checkRemote(remote netip.AddrPort) error {
	ip, ok := ipv4.AddrFrom(remote.Addr())
	switch {
	case !ok:
		return fmt.Errorf("%v is not an IPv4 address, the only version that is implemented", remote.Addr())
	case !ip.IsHost():
		return ErrBroadcast
	case remote.Port() == 0:
		return errors.New("port 0 cannot be connected to")
	}
	return nil
}

// opError gives an error the form that the net package's have.
func (s *Stack) opError(op, network, address string, err error) error {
	return &net.OpError{Op: op, Net: network, Addr: addrString{network, address}, Err: err}
}

// addrString is an address as the caller wrote it.
type addrString struct{ network, address string }

func (a addrString) Network() string { return a.network }
func (a addrString) String() string  { return a.address }

// contextError turns the end of a context into the error that the net package gives for it.
func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	return ctx.Err()
}

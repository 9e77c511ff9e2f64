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

// localAddr reads an address to listen on: the host is empty, 0.0.0.0 or the stack's own.
func (s *Stack) localAddr(address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := parsePort(service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	local := s.address.Addr()
	if host != "" && host != "0.0.0.0" {
		ip, err := netip.ParseAddr(host)
		if err != nil {
			return netip.AddrPort{}, err
		}
		if ip.Unmap() != local {
			return netip.AddrPort{}, fmt.Errorf("%v is not this stack's address, which is %v", ip, local)
		}
	}
	return netip.AddrPortFrom(local, port), nil
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

// freePort chooses a port that is not in use.
func (s *Stack) freePort(used map[uint16]bool) (uint16, bool) {
	start := s.portSeed.Add(7919)
	for i := range uint32(numEphemeral) {
		port := uint16(firstEphemeral + (start+i)%numEphemeral)
		if !used[port] {
			return port, true
		}
	}
	return 0, false
}

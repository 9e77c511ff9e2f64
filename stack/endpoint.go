package stack

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/ipv4"
)

// endpoint is a port of one of the stack's addresses, or, with the zero address, of all of them.
type endpoint struct {
	addr ipv4.Addr
	port uint16
}

// all reports whether it is the port of all addresses.
func (e endpoint) all() bool { return e.addr.IsUnspecified() }

// endpoint returns a port of one of the stack's addresses. If that is the only one, and no others come, it is all of them.
func (s *Stack) endpoint(a ipv4.Addr, port uint16) endpoint {
	if s.others.Len() == 0 && s.shared == nil {
		a = ipv4.Addr{}
	}
	return endpoint{addr: a, port: port}
}

// address4 returns the address of an endpoint, the stack's first if it is of all.
func (s *Stack) address4(e endpoint) ipv4.Addr {
	if e.all() {
		a := s.addressing()
		return a.local
	}
	return e.addr
}

// addrPort returns the address and the port of an endpoint.
func (s *Stack) addrPort(e endpoint) netip.AddrPort {
	return netip.AddrPortFrom(s.address4(e).Netip(), e.port)
}

// usedPorts are the ports of one protocol that are listened on. As with the kernel, the port of all addresses leaves no address's own for
// others, nor the other way round.
type usedPorts struct {
	protocol uint8
	at       map[endpoint]struct{}
	count    map[uint16]int // endpoints with the port
}

func newUsedPorts(protocol uint8) usedPorts {
	return usedPorts{protocol: protocol, at: make(map[endpoint]struct{}), count: make(map[uint16]int)}
}

// has reports whether an endpoint cannot be taken.
func (u *usedPorts) has(e endpoint) bool {
	switch n := u.count[e.port]; {
	case n == 0:
		return false
	case e.all():
		return true
	}
	if _, ok := u.at[endpoint{port: e.port}]; ok {
		return true
	}
	_, ok := u.at[e]
	return ok
}

func (u *usedPorts) take(e endpoint) {
	u.at[e] = struct{}{}
	u.count[e.port]++
}

// free gives an endpoint back, and reports whether it was taken.
func (u *usedPorts) free(e endpoint) bool {
	if _, ok := u.at[e]; !ok {
		return false
	}
	delete(u.at, e)
	if u.count[e.port]--; u.count[e.port] == 0 {
		delete(u.count, e.port)
	}
	return true
}

// freePort chooses a port for an endpoint that has none.
func (s *Stack) freePort(used *usedPorts, e *endpoint) bool {
	start := s.portSeed.Add(7919)
	for i := range uint32(numEphemeral) {
		e.port = uint16(firstEphemeral + (start+i)%numEphemeral)
		if !used.has(*e) {
			return true
		}
	}
	return false
}

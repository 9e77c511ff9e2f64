package stack

import (
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/kernelnet"
	"github.com/xdpstack/xdpstack/ipv4"
)

// addressing is what a shard looks at packets' addresses with: which are the stack's, and where others are.
type addressing struct {
	local   ipv4.Addr    // the first of the stack's addresses; zero: it has none now
	others  *addrset.Set // and all others
	network network      // of the first
	gateway ipv4.Addr    // the next hop beyond that
	hasGW   bool         // there is one

	// In shared-address mode: where packets go, and the networks of the other addresses. Nil in own-address mode.
	paths *kernelnet.Snapshot
	more  []network
}

// owns reports whether an address is one of the stack's.
func (a *addressing) owns(ip ipv4.Addr) bool { return ip == a.local || a.others.Has(ip) }

// isBroadcast reports whether an address is a network's own or its broadcast address (RFC 1122 section 3.2.1.3).
func (a *addressing) isBroadcast(ip ipv4.Addr) bool {
	n := ip.Uint32()
	if a.network.broadcasts(n) {
		return true
	}
	for i := range a.more {
		if a.more[i].broadcasts(n) {
			return true
		}
	}
	return false
}

// network is a network that an address of the stack's is on.
type network struct {
	base   uint32 // its number, host part zero
	mask   uint32
	subnet bool // it has broadcast addresses: it is not of one or two hosts
}

func newNetwork(a ipv4.Addr, bits int) network {
	mask := ^(^uint32(0) >> bits)
	return network{base: a.Uint32() & mask, mask: mask, subnet: bits < 31}
}

func (n *network) has(a uint32) bool { return a&n.mask == n.base }

func (n *network) broadcasts(a uint32) bool {
	return n.subnet && n.has(a) && (a == n.base || a == n.base|^n.mask)
}

// route returns the next hop for an address. In shared-address mode it may depend on where packets come from; zero: that is not chosen.
func (a *addressing) route(src, dst ipv4.Addr) (hop ipv4.Addr, ok bool) {
	if a.paths != nil {
		p, ok := a.paths.PathFrom(src, dst)
		return p.Hop, ok
	}
	if a.network.has(dst.Uint32()) {
		return dst, true
	}
	return a.gateway, a.hasGW
}

// errNoRoute is the error for an address to which route has none.
func (a *addressing) errNoRoute() error {
	if a.paths != nil {
		return ErrNoKernelRoute
	}
	return ErrNoRoute
}

// sourceTo returns the address to send from to another one, if nobody has chosen; zero if the stack has none now.
func (a *addressing) sourceTo(dst ipv4.Addr) ipv4.Addr {
	if a.paths == nil {
		return a.local
	}
	p, _ := a.paths.Path(dst)
	return p.Source
}

package ipv4

import (
	"encoding/binary"
	"net/netip"
)

// Addr is an IPv4 address in the order of the wire.
type Addr [4]byte

// LimitedBroadcast is the address of every host on the link.
var LimitedBroadcast = Addr{255, 255, 255, 255}

// AddrFrom returns a as an Addr. It reports false if a is not an IPv4 address; an IPv4 address mapped into IPv6 is one.
func AddrFrom(a netip.Addr) (addr Addr, ok bool) {
	if a = a.Unmap(); !a.Is4() {
		return Addr{}, false
	}
	return a.As4(), true
}

// Netip returns the address as a netip.Addr.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom4(a) }

// String returns the address in dotted decimal.
func (a Addr) String() string { return a.Netip().String() }

// Uint32 returns the address as a number, its first byte the most significant.
func (a Addr) Uint32() uint32 { return binary.BigEndian.Uint32(a[:]) }

// IsUnspecified reports whether a is 0.0.0.0.
func (a Addr) IsUnspecified() bool { return a == Addr{} }

// IsLoopback reports whether a is in 127.0.0.0/8, which must not be seen outside a host (RFC 1122 section 3.2.1.3).
func (a Addr) IsLoopback() bool { return a[0] == 127 }

// IsMulticast reports whether a is in 224.0.0.0/4.
func (a Addr) IsMulticast() bool { return a[0]&0xf0 == 0xe0 }

// IsLimitedBroadcast reports whether a is 255.255.255.255.
func (a Addr) IsLimitedBroadcast() bool { return a == LimitedBroadcast }

// IsHost reports whether a may be the address of a single host as seen on a link: not of network zero, loopback, multicast,
// reserved or broadcast (RFC 1122 section 3.2.1.3). The broadcast addresses of subnets cannot be told from a alone.
func (a Addr) IsHost() bool { return a[0] != 0 && a[0] != 127 && a[0] < 224 }

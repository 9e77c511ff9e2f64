package tcp

import (
	"encoding/binary"
	"net/netip"
)

// Flow names a connection as its owner sees it: the key of every table of connections. It has 12 bytes and no padding.
type Flow struct {
	LocalAddr  [4]byte
	RemoteAddr [4]byte
	LocalPort  uint16
	RemotePort uint16
}

// Reverse returns the flow as the peer sees it.
func (f Flow) Reverse() Flow {
	return Flow{LocalAddr: f.RemoteAddr, RemoteAddr: f.LocalAddr, LocalPort: f.RemotePort, RemotePort: f.LocalPort}
}

// Local returns the local address and port.
func (f Flow) Local() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(f.LocalAddr), f.LocalPort)
}

// Remote returns the remote address and port.
func (f Flow) Remote() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(f.RemoteAddr), f.RemotePort)
}

// String returns "local->remote".
func (f Flow) String() string { return f.Local().String() + "->" + f.Remote().String() }

// Hash returns a hash of the flow under a secret key, SipHash-1-3: whoever does not know the key cannot choose flows that
// collide.
func (f Flow) Hash(key0, key1 uint64) uint32 {
	a, b := f.words()
	return uint32(sip13(key0, key1, a, b))
}

// words returns the flow as the one full word and the 4-byte rest of a 12-byte message.
func (f Flow) words() (a, b uint64) {
	a = uint64(binary.LittleEndian.Uint32(f.LocalAddr[:])) | uint64(binary.LittleEndian.Uint32(f.RemoteAddr[:]))<<32
	return a, uint64(f.LocalPort) | uint64(f.RemotePort)<<16
}

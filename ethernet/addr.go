package ethernet

import "encoding/binary"

// Addr is a 48-bit MAC address in the order of the wire.
type Addr [6]byte

// Broadcast is the address of every station.
var Broadcast = Addr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// IsBroadcast reports whether a is the address of every station.
func (a Addr) IsBroadcast() bool { return a == Broadcast }

// IsMulticast reports whether a is a group address, which the broadcast address is too: the first bit on the wire is set
// (IEEE 802-2014 section 8.2).
func (a Addr) IsMulticast() bool { return a[0]&1 != 0 }

// Uint64 returns the address as a number, its first byte the most significant.
func (a Addr) Uint64() uint64 {
	return uint64(binary.BigEndian.Uint16(a[0:2]))<<32 | uint64(binary.BigEndian.Uint32(a[2:6]))
}

// IsZero reports whether a is the zero address, which no station has.
func (a Addr) IsZero() bool { return a == Addr{} }

// String returns the address as lower-case hexadecimal digits with colons, such as 02:00:5e:10:00:01.
func (a Addr) String() string {
	const hex = "0123456789abcdef"
	b := make([]byte, 0, 17)
	for i, v := range a {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, hex[v>>4], hex[v&15])
	}
	return string(b)
}

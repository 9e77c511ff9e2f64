package measure

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
)

// intact reports whether a packet's checksums are right, as far as it has such: of the IPv4 header, and of what is in it if that is
// UDP, TCP or ICMP and no fragment. What is no IPv4 has none. A packet that ends too early, or says that it has lengths which cannot
// be, is not intact.
func intact(packet []byte) bool {
	if len(packet) < ethernet.HeaderLen {
		return false
	}
	off := ethernet.HeaderLen
	kind := ethernet.Type(binary.BigEndian.Uint16(packet[12:]))
	for kind == ethernet.TypeVLAN || kind == ethernet.TypeQinQ {
		if len(packet) < off+ethernet.TagLen {
			return false
		}
		kind = ethernet.Type(binary.BigEndian.Uint16(packet[off+2:]))
		off += ethernet.TagLen
	}
	if kind != ethernet.TypeIPv4 {
		return true
	}
	return intactIPv4(packet[off:])
}

func intactIPv4(b []byte) bool {
	if len(b) < ipv4.MinHeaderLen || b[0]>>4 != 4 {
		return false
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4.MinHeaderLen || total < header || total > len(b) {
		return false
	}
	if header == ipv4.MinHeaderLen {
		if !checksum.Valid(checksum.SumHeader((*[20]byte)(b))) {
			return false
		}
	} else if !checksum.Valid(checksum.Sum(b[:header], 0)) {
		return false
	}
	const moreOrOffset = 0x3fff // a fragment's checksum is of all of them together
	if binary.BigEndian.Uint16(b[6:])&moreOrOffset != 0 {
		return true
	}
	return intactTransport(b[9], binary.BigEndian.Uint64(b[12:]), b[header:total])
}

// intactTransport is given the IPv4 header's protocol and its two addresses.
func intactTransport(proto uint8, addresses uint64, b []byte) bool {
	switch proto {
	case ipv4.ProtoUDP:
		if len(b) < 8 || int(binary.BigEndian.Uint16(b[4:])) > len(b) {
			return false
		}
		b = b[:binary.BigEndian.Uint16(b[4:])]
		if len(b) < 8 {
			return false
		}
		if binary.BigEndian.Uint16(b[6:]) == 0 { // none
			return true
		}
	case ipv4.ProtoTCP:
		if len(b) < 20 {
			return false
		}
	case ipv4.ProtoICMP:
		return len(b) >= 4 && checksum.Valid(checksum.Sum(b, 0))
	default:
		return true
	}
	pseudo := uint64(proto) + uint64(len(b)) + addresses>>48 + addresses>>32&0xffff + addresses>>16&0xffff + addresses&0xffff
	return checksum.Valid(checksum.Sum(b, uint32(pseudo)))
}

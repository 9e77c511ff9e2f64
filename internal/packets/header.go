package packets

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
)

// header is what an expression asks about a frame, and what a line says of it. What is cut off or unsound is as if it were not there.
type header struct {
	length           int
	kind             uint16 // EtherType
	ip, arp          bool
	addresses, ports bool
	src, dst         netip.Addr
	proto            uint8
	srcPort, dstPort uint16
	flags            uint8 // of TCP
	seq, ack         uint32
	payload          int // bytes behind the TCP or UDP header
	operation        uint16
	icmp             [2]byte // type and code
}

func (h *header) parse(b []byte) {
	h.length = len(b)
	if len(b) < 14 {
		return
	}
	h.kind = binary.BigEndian.Uint16(b[12:])
	b = b[14:]
	switch h.kind {
	case 0x0800:
		h.parseIP(b)
	case 0x0806:
		if h.arp = true; len(b) >= 28 && binary.BigEndian.Uint16(b[2:]) == 0x0800 && b[5] == 4 && b[4] == 6 {
			h.operation = binary.BigEndian.Uint16(b[6:])
			h.src, h.dst, h.addresses = netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:])), true
		}
	}
}

func (h *header) parseIP(b []byte) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return
	}
	n, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	h.ip, h.addresses, h.proto = true, true, b[9]
	h.src, h.dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	if n < 20 || total < n || len(b) < n || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return
	}
	rest := total - n
	b = b[n:]
	switch h.proto {
	case protoTCP, protoUDP:
		if len(b) < 4 {
			return
		}
		h.ports, h.srcPort, h.dstPort = true, binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if h.proto == protoUDP {
			h.payload = max(rest-8, 0)
		} else if len(b) >= 20 {
			h.seq, h.ack, h.flags = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), b[13]
			h.payload = max(rest-int(b[12]>>4)*4, 0)
		}
	case protoICMP:
		if len(b) >= 2 {
			h.icmp = [2]byte(b)
		}
	}
}

// String says in a few words what a frame is, much as tcpdump does.
func (h *header) String() string {
	switch {
	case h.arp && h.addresses && h.operation == 1:
		return fmt.Sprintf("ARP who-has %v tell %v", h.dst, h.src)
	case h.arp && h.addresses:
		return fmt.Sprintf("ARP %v is-at, to %v", h.src, h.dst)
	case !h.ip:
		return fmt.Sprintf("EtherType 0x%04x", h.kind)
	case h.ports && h.proto == protoTCP:
		return fmt.Sprintf("IP %v.%d > %v.%d: Flags [%s], seq %d, ack %d, length %d", h.src, h.srcPort, h.dst, h.dstPort,
			flagNames(h.flags),
			h.seq, h.ack, h.payload)
	case h.ports:
		return fmt.Sprintf("IP %v.%d > %v.%d: UDP, length %d", h.src, h.srcPort, h.dst, h.dstPort, h.payload)
	case h.proto == protoICMP:
		return fmt.Sprintf("IP %v > %v: ICMP type %d, code %d", h.src, h.dst, h.icmp[0], h.icmp[1])
	}
	return fmt.Sprintf("IP %v > %v: protocol %d", h.src, h.dst, h.proto)
}

// flagNames writes TCP's flags as tcpdump does.
func flagNames(flags uint8) string {
	var b strings.Builder
	for _, f := range []struct {
		bit  uint8
		name string
	}{{2, "S"}, {1, "F"}, {8, "P"}, {4, "R"}, {16, "."}, {32, "U"}, {64, "E"}, {128, "W"}} {
		if flags&f.bit != 0 {
			b.WriteString(f.name)
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

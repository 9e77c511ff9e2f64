package pkt

import (
	"maps"
	"slices"
	"strings"

	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// icmpError is an ICMP error about a segment that the stack has sent.
type icmpError struct {
	text   string
	kind   tcp.ICMPKind
	mtu    uint32
	quoted uint32 // sequence number of the segment that it quotes
}

// unreachable are the codes of destination unreachable by packetdrill's names, and what the stack below the core makes of them.
var unreachable = map[string]tcp.ICMPKind{
	"net_unreachable":  tcp.ICMPNetUnreachable,
	"net_unknown":      tcp.ICMPNetUnreachable,
	"host_unreachable": tcp.ICMPHostUnreachable,
	"host_unknown":     tcp.ICMPHostUnreachable,
	"proto_unreach":    tcp.ICMPPortUnreachable,
	"port_unreachable": tcp.ICMPPortUnreachable,
	"frag_needed":      tcp.ICMPFragmentationNeeded,
	"no_neighbour":     tcp.ICMPNoNeighbour, // no ICMP: what the stack says when nobody answers its ARP requests
}

// icmpError reads what follows "icmp": a type, for destination unreachable a code, and the quoted segment.
func (s *scanner) icmpError() *icmpError {
	start := s.pos
	e := &icmpError{}
	switch t := s.word(); t {
	case "time_exceeded":
		e.kind = tcp.ICMPHostUnreachable
	case "unreachable":
		code := s.word()
		kind, ok := unreachable[code]
		if !ok {
			s.fail("ICMP code %q: known are %s", code, strings.Join(slices.Sorted(maps.Keys(unreachable)), ", "))
			return e
		}
		e.kind = kind
		if kind == tcp.ICMPFragmentationNeeded {
			s.expect("mtu")
			e.mtu = s.unsigned(16)
		}
	default:
		s.fail("ICMP type %q: known are unreachable and time_exceeded", t)
		return e
	}
	s.expect("[")
	if c := s.next(1); c != "" && !isDigit(c[0]) {
		s.flags()
	}
	e.quoted = s.unsigned(32)
	s.expect(":")
	s.unsigned(32)
	s.expect("(")
	if n := s.unsigned(16); e.kind == tcp.ICMPFragmentationNeeded && e.mtu == 0 {
		e.mtu = uint32(ipv4.PathMTU(0, uint16(n)+40)) // as the stack below the core has it
	}
	s.expect(")")
	s.expect("]")
	e.text = "icmp " + strings.TrimSpace(s.src[start:s.pos])
	return e
}

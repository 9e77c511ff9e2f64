package bpf

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Frames for the tests, built from the inside out.

const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	protoICMP  = 1
	protoTCP   = 6
	protoUDP   = 17
	protoSCTP  = 132
	moreFrags  = 0x2000
	dontFrag   = 0x4000
	ownedPort  = 80
	otherPort  = 22
	clientPort = 40000
)

var (
	ours   = netip.MustParseAddr("10.77.0.2")
	theirs = netip.MustParseAddr("10.77.0.1")
)

var be = binary.BigEndian

// ethernet puts an Ethernet header with the given tags in front of payload.
func ethernet(etherType uint16, payload []byte, tags ...uint16) []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	for i, tag := range tags {
		b = be.AppendUint16(b, tag)
		b = be.AppendUint16(b, uint16(100+i))
	}
	b = be.AppendUint16(b, etherType)
	return append(b, payload...)
}

// arp builds an ARP packet for IPv4 over Ethernet.
func arp(operation uint16, sender, target netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4}
	b = be.AppendUint16(b, operation)
	b = append(b, 2, 0, 0, 0, 0, 1)
	b = append(b, sender.AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, target.AsSlice()...)
}

// ipv4 describes a packet from theirs.
type ipv4 struct {
	to       netip.Addr
	proto    uint8
	options  int // bytes, a multiple of 4
	id       uint16
	fragment uint16 // flags and offset
	payload  []byte
}

func (p ipv4) bytes() []byte {
	header := 20 + p.options
	b := make([]byte, header, header+len(p.payload))
	b[0] = 4<<4 | byte(header/4)
	be.PutUint16(b[2:], uint16(header+len(p.payload)))
	be.PutUint16(b[4:], p.id)
	be.PutUint16(b[6:], p.fragment)
	b[8], b[9] = 64, p.proto
	copy(b[12:], theirs.AsSlice())
	copy(b[16:], p.to.AsSlice())
	for i := 20; i < header; i++ {
		b[i] = 1 // no operation
	}
	return append(b, p.payload...)
}

// segment builds the first 20 bytes of TCP, which also serve as UDP: the ports are in the same place.
func segment(port uint16) []byte {
	b := be.AppendUint16(nil, clientPort)
	b = be.AppendUint16(b, port)
	return append(b, make([]byte, 16)...)
}

// icmp builds an ICMP message of a type, with payload behind its 8 bytes.
func icmp(kind uint8, payload []byte) []byte {
	return append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, payload...)
}

// quoted builds the beginning of a packet that was sent from a port of an address, as ICMP errors have it: 8 bytes of the transport.
func quoted(proto uint8, from netip.Addr, port uint16, options int) []byte {
	b := ipv4{to: theirs, proto: proto, options: options, payload: make([]byte, 8)}.bytes()
	copy(b[12:], from.AsSlice())
	be.PutUint16(b[20+options:], port)
	be.PutUint16(b[22+options:], clientPort)
	be.PutUint16(b[2:], 1500) // what it was
	return b
}

func tcp(to netip.Addr, port uint16) []byte {
	return ethernet(etherIPv4, ipv4{to: to, proto: protoTCP, payload: segment(port)}.bytes())
}

// with returns a copy of the frame in which the byte at off is v.
func with(frame []byte, off int, v byte) []byte {
	frame = slices.Clone(frame)
	frame[off] = v
	return frame
}

// oracle says what the program must do with a frame, in the plainest way: the reason, as its number in xdp_steer.h.
func oracle(mode Mode, frame []byte) steerReason { return oracleIn(mode, 0, frame) }

// oracleIn is oracle for a program that is on a VLAN, or with 0 on none.
func oracleIn(mode Mode, vlan uint16, frame []byte) steerReason {
	reason := oracleLayers(mode, vlan, frame)
	if mode == WholeInterface && reason >= steerReasonPASS_NO_SOCKET {
		return steerReasonREDIRECT_OTHER
	}
	return reason
}

func oracleLayers(mode Mode, vlan uint16, frame []byte) steerReason {
	if len(frame) < 14 {
		return steerReasonPASS_SHORT_ETHERNET
	}
	etherType, rest := be.Uint16(frame[12:]), frame[14:]
	isTag := func() bool { return etherType == etherVLAN || etherType == etherQinQ }
	tags, here := 0, vlan == 0
	for ; isTag(); tags++ {
		if tags == 2 {
			return steerReasonPASS_DEEP_VLAN
		}
		if len(rest) < 4 {
			return steerReasonPASS_SHORT_VLAN
		}
		here = vlan != 0 && tags == 0 && etherType == etherVLAN && be.Uint16(rest)&0xfff == vlan
		etherType, rest = be.Uint16(rest[2:]), rest[4:]
	}
	switch {
	case etherType != etherARP && etherType != etherIPv4:
		return steerReasonPASS_ETHERTYPE
	case mode != WholeInterface && !here:
		return steerReasonPASS_VLAN
	case etherType == etherARP:
		return oracleARP(mode, rest)
	}
	return oracleIPv4(mode, rest)
}

func oracleARP(mode Mode, b []byte) steerReason {
	switch {
	case mode == SharedAddress:
		return steerReasonPASS_ARP
	case len(b) < 28:
		return steerReasonPASS_SHORT_ARP
	case be.Uint64(b)>>16 != 0x0001_0800_0604:
		return steerReasonPASS_BAD_ARP
	case mode == OwnAddress && !isOurs(b[24:28]) && !isOurs(b[14:18]):
		return steerReasonPASS_ARP
	}
	return steerReasonREDIRECT_ARP
}

func oracleIPv4(mode Mode, b []byte) steerReason {
	if len(b) < 20 {
		return steerReasonPASS_SHORT_IPV4
	}
	header, total, proto := int(b[0]&15)*4, int(be.Uint16(b[2:])), b[9]
	fragment := be.Uint16(b[6:])&^(dontFrag|0x8000) != 0
	switch {
	case b[0]>>4 != 4 || header < 20 || total < header:
		return steerReasonPASS_BAD_IPV4
	case total > len(b):
		return steerReasonPASS_SHORT_IPV4
	case mode == OwnAddress && !isOurs(b[16:20]):
		return steerReasonPASS_ADDRESS
	case mode != SharedAddress && fragment:
		return steerReasonREDIRECT_FRAGMENT
	case mode != SharedAddress && proto == protoTCP:
		return steerReasonREDIRECT_TCP
	case mode != SharedAddress && proto == protoUDP:
		return steerReasonREDIRECT_UDP
	case mode != SharedAddress && proto == protoICMP:
		return steerReasonREDIRECT_ICMP
	case mode != SharedAddress:
		return steerReasonREDIRECT_PROTOCOL
	case proto == protoICMP && !fragment && oracleQuote(b[header:total]):
		return steerReasonREDIRECT_ICMP
	case proto == protoICMP:
		return steerReasonPASS_ICMP
	case proto != protoTCP && proto != protoUDP:
		return steerReasonPASS_PROTOCOL
	case be.Uint16(b[6:])&0x1fff != 0: // none came before
		return steerReasonPASS_FRAGMENT
	case total-header < 4:
		return steerReasonPASS_SHORT_PORTS
	case (!isOurs(b[16:20]) || be.Uint16(b[header+2:]) != ownedPort) && fragment:
		return steerReasonPASS_FRAGMENT
	case fragment:
		return steerReasonREDIRECT_FRAGMENT
	case !isOurs(b[16:20]) || be.Uint16(b[header+2:]) != ownedPort:
		return steerReasonPASS_PORT
	case proto == protoTCP:
		return steerReasonREDIRECT_TCP
	}
	return steerReasonREDIRECT_UDP
}

// oracleQuote reports whether an ICMP message is an error about a packet from the owned port.
func oracleQuote(b []byte) bool {
	if len(b) < 8+20 || b[0] != 3 && b[0] != 11 && b[0] != 12 {
		return false
	}
	q := b[8:]
	header := int(q[0]&15) * 4
	return q[0]>>4 == 4 && header >= 20 && len(q) >= header+4 && be.Uint16(q[6:])&0x1fff == 0 &&
		(q[9] == protoTCP || q[9] == protoUDP) && isOurs(q[12:16]) && be.Uint16(q[header:]) == ownedPort
}

func isOurs(b []byte) bool {
	a, _ := netip.AddrFromSlice(b)
	return a == ours
}

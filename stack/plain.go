package stack

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// The least that a plain frame has, in bytes.
const (
	plainIP  = ethernet.HeaderLen
	plainTCP = plainIP + ipv4.MinHeaderLen
	plainLen = plainTCP + tcp.MinHeaderLen
)

// plain takes nearly every frame through the layers in one go: an intact TCP segment for this host, in an IP packet without options that
// is no fragment, without VLAN tags. It makes the tests that parseFrame makes layer by layer. Of any other frame, a broken one too, it
// reports false and changes nothing: parseFrame finds out what it is and counts it.
func (s *Shard) plain(f frame.Index) bool {
	b := s.pool.Data(f)
	if len(b) < plainLen {
		return false
	}
	h := (*[plainLen]byte)(b)
	if !s.plainLink((*[plainIP]byte)(h[:])) {
		return false
	}
	ip, t := (*[ipv4.MinHeaderLen]byte)(h[plainIP:]), (*[tcp.MinHeaderLen]byte)(h[plainTCP:])
	end := plainIP + int(binary.BigEndian.Uint16(ip[2:4]))
	dataOff := int(t[12]>>4) * 4
	const fragment = 0x3fff // more fragments, or an offset
	if ip[0] != 4<<4|ipv4.MinHeaderLen/4 || ip[9] != ipv4.ProtoTCP || binary.BigEndian.Uint16(ip[6:8])&fragment != 0 ||
		end > len(b) || dataOff < tcp.MinHeaderLen || plainTCP+dataOff > end {
		return false
	}
	if !s.rxSum && (!checksum.Valid(checksum.SumHeader(ip)) || !tcp.VerifyChecksum(b[plainTCP:end],
		ipv4.PseudoHeaderSum(ipv4.Addr(ip[12:16]), ipv4.Addr(ip[16:20]), ipv4.ProtoTCP, end-plainTCP))) {
		return false
	}
	if !s.addPlain(f, ip, t) {
		return false
	}
	m := s.pool.Meta(f)
	m.Off += plainTCP
	m.Len = uint32(end - plainTCP)
	if ip[1]&tcp.ECNMask == tcp.CE {
		m.Flags |= tcp.MetaCE
	}
	return true
}

// plainLink reports whether an IPv4 packet follows the header, which a station sent to this one and to no group.
func (s *Shard) plainLink(h *[ethernet.HeaderLen]byte) bool {
	to := binary.BigEndian.Uint64(h[0:8]) >> 16
	from := binary.BigEndian.Uint64(h[6:14]) >> 16 // and behind it the type
	return to == s.hwWord && binary.BigEndian.Uint16(h[12:14]) == uint16(ethernet.TypeIPv4) && from != 0 && from>>40&1 == 0
}

// addPlain puts a segment into the batch, unless its addresses or ports are such as no peer of this host has. Of a run of segments with
// the same ones only the first is looked at and hashed: dispatch gives the others what it finds out about that.
func (s *Shard) addPlain(f frame.Index, ip *[ipv4.MinHeaderLen]byte, t *[tcp.MinHeaderLen]byte) bool {
	n := len(s.segments)
	addresses, ports := binary.BigEndian.Uint64(ip[12:20]), binary.BigEndian.Uint32(t[0:4])
	if n != 0 && s.segments[n-1].addresses == addresses && s.segments[n-1].ports == ports {
		s.segments = s.segments[:n+1]
		g := &s.segments[n]
		g.frame, g.follows, g.returned, g.addresses, g.ports = f, true, false, addresses, ports
		return true
	}
	flow := tcp.Flow{
		LocalAddr: [4]byte(ip[16:20]), RemoteAddr: [4]byte(ip[12:16]), LocalPort: uint16(ports), RemotePort: uint16(ports >> 16),
	}
	src := ipv4.Addr(flow.RemoteAddr)
	if flow.LocalAddr != s.local && !s.others.Has(flow.LocalAddr) || src == s.local || s.others.Has(src) || !src.IsHost() ||
		s.isBroadcast(src) || flow.LocalPort == 0 || flow.RemotePort == 0 {
		return false
	}
	s.segments = s.segments[:n+1]
	s.segments[n] = segment{
		frame: f, hash: s.hash(&flow), flow: flow, addresses: addresses, ports: ports,
	}
	return true
}

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
	eth, ip, t := (*[plainIP]byte)(h[:]), (*[ipv4.MinHeaderLen]byte)(h[plainIP:]), (*[tcp.MinHeaderLen]byte)(h[plainTCP:])
	from := ethernet.Addr(eth[6:12])
	if ethernet.Addr(eth[0:6]) != s.hw || ethernet.Type(binary.BigEndian.Uint16(eth[12:14])) != ethernet.TypeIPv4 ||
		from.IsMulticast() || from.IsZero() {
		return false
	}
	end := plainIP + int(binary.BigEndian.Uint16(ip[2:4]))
	dataOff := int(t[12]>>4) * 4
	const fragment = 0x3fff // more fragments, or an offset
	if ip[0] != 4<<4|ipv4.MinHeaderLen/4 || ip[9] != ipv4.ProtoTCP || binary.BigEndian.Uint16(ip[6:8])&fragment != 0 ||
		end > len(b) || dataOff < tcp.MinHeaderLen || plainTCP+dataOff > end {
		return false
	}
	src, dst := ipv4.Addr(ip[12:16]), ipv4.Addr(ip[16:20])
	if !s.rxSum && (!checksum.Valid(checksum.SumHeader(ip)) ||
		!tcp.VerifyChecksum(b[plainTCP:end], ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoTCP, end-plainTCP))) {
		return false
	}
	if !s.addPlain(f, tcp.Flow{
		LocalAddr: dst, RemoteAddr: src,
		LocalPort: binary.BigEndian.Uint16(t[2:4]), RemotePort: binary.BigEndian.Uint16(t[0:2]),
	}) {
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

// addPlain puts a segment into the batch, unless its addresses or ports are such as no peer of this host has. Of a run of segments with
// the same ones only the first is looked at and hashed.
func (s *Shard) addPlain(f frame.Index, flow tcp.Flow) bool {
	n := len(s.segments)
	if n != 0 && s.segments[n-1].flow == flow {
		s.segments = s.segments[:n+1]
		s.segments[n] = segment{frame: f, hash: s.segments[n-1].hash, flow: flow, follows: true}
		return true
	}
	src := ipv4.Addr(flow.RemoteAddr)
	if flow.LocalAddr != s.local || src == s.local || !src.IsHost() || s.stack.isBroadcast(src) ||
		flow.LocalPort == 0 || flow.RemotePort == 0 {
		return false
	}
	s.segments = s.segments[:n+1]
	s.segments[n] = segment{frame: f, hash: flow.Hash(s.hashKey[0], s.hashKey[1]), flow: flow}
	return true
}

package stack

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ipv4"
)

// fragment takes in a part of a datagram. When it was the last one that was missing, the whole goes on: in a frame if it fits one,
// else from the reassembler's memory.
func (s *Shard) fragment(f frame.Index, ip *ipv4.Header) {
	s.reassemble(s.pool.Data(f), ip)
	s.pool.Release(f)
}

// reassemble is fragment for the packet b.
func (s *Shard) reassemble(b []byte, ip *ipv4.Header) {
	whole := s.reasm.Input(b, ip, s.now)
	if whole == nil {
		return
	}
	var h ipv4.Header
	if err := ipv4.Parse(whole, &h); err != nil {
		s.stats.IP.Count(err)
		return
	}
	if headroom+len(whole) > s.pool.ChunkSize() {
		s.largeDatagram(whole, &h)
		return
	}
	g := s.pool.Alloc()
	if g == frame.None {
		s.stats.Drop.NoFrame++
		return
	}
	m := s.pool.Meta(g)
	m.Off, m.Len = headroom, uint32(len(whole))
	copy(s.pool.Data(g), whole)
	m.Off += uint32(h.HeaderLen)
	m.Len -= uint32(h.HeaderLen)
	s.transport(g, &h)
}

// largeDatagram handles a datagram that is larger than a frame. TCP does not come here, unless its segments were fragmented: it is not
// taken then.
func (s *Shard) largeDatagram(b []byte, h *ipv4.Header) {
	switch p := h.Payload(b); h.Proto {
	case ipv4.ProtoUDP:
		s.udpDeliver(b, p, h)
	case ipv4.ProtoICMP:
		var m ipv4.ICMP
		if err := ipv4.ParseICMP(p, &m); err != nil {
			s.stats.ICMP.Count(err)
			return
		}
		if m.Type != ipv4.ICMPEchoRequest || m.Code != 0 {
			s.stats.Drop.ICMPType++
			return
		}
		s.stats.EchoReplies++
		reply := ipv4.EchoReply(b, h, s.ids.next(h.Dst, h.Src, ipv4.ProtoICMP))
		s.sendDatagram(ipv4.ProtoICMP, h.Dst, h.Src, reply[ipv4.MinHeaderLen:])
	default:
		s.stats.Drop.Datagram++
	}
}

// sendDatagram sends a datagram of any length from an address of the stack's, in fragments if it does not fit a packet.
func (s *Shard) sendDatagram(proto uint8, src, dst ipv4.Addr, payload []byte) {
	h := ipv4.Header{TTL: s.cfg.TTL, TOS: s.cfg.TOS, Proto: proto, Src: src, Dst: dst, ID: s.ids.next(src, dst, proto)}
	room := s.oneFrame
	if s.paths != nil {
		if p, ok := s.paths.PathFrom(src, dst); ok {
			room = min(room, p.MTU)
		}
	}
	for off := 0; off < len(payload); {
		fh, n := h.FragmentAt(off, len(payload), room)
		d, b := s.newPacket(n)
		if b == nil {
			return
		}
		copy(b, payload[off:off+n])
		d.Off -= ipv4.MinHeaderLen
		d.Len += ipv4.MinHeaderLen
		fh.Marshal(s.pool.Bytes(d))
		s.sendRouted(d, dst)
		off += n
	}
}

// reportExpired tells the senders of datagrams of which fragments are missing (RFC 1122 section 3.3.2).
func (s *Shard) reportExpired() {
	s.reasm.Expire(s.now)
	for b := s.reasm.NextExpired(); b != nil; b = s.reasm.NextExpired() {
		var h ipv4.Header
		if ipv4.ParseNoChecksum(b, &h) == nil {
			s.sendError(ipv4.ReassemblyTimeout(), b, &h)
		}
	}
}

// sendError sends an ICMP error about the packet b with header h, if the rules and the rate allow one.
func (s *Shard) sendError(m ipv4.ICMP, b []byte, h *ipv4.Header) {
	if !s.reporter.Allow(b, h, false, s.now) {
		return
	}
	d, out := s.newPacket(ipv4.MaxErrorLen)
	if out == nil {
		return
	}
	n := m.MarshalError(out, b, h, s.ids.next(h.Dst, h.Src, ipv4.ProtoICMP))
	if n == 0 {
		s.pool.Release(d.Frame)
		return
	}
	d.Len = uint32(n)
	s.sendRouted(d, h.Src)
}

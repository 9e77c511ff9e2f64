package packetdrill

import (
	"encoding/binary"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// Inject gives the stack an IP packet from the network. What a stack drops without a word is no error here either.
func (s *Stack) Inject(b []byte) syscall.Errno {
	var h ipv4.Header
	if ipv4.Parse(b, &h) != nil || h.IsFragment() {
		return 0
	}
	payload := h.Payload(b)
	s.enter()
	defer s.leave()
	switch h.Proto {
	case ipv4.ProtoTCP:
		sum := ipv4.PseudoHeaderSum(h.Src, h.Dst, ipv4.ProtoTCP, len(payload))
		if len(payload) < tcp.MinHeaderLen || !checksum.Valid(checksum.Sum(payload, sum)) {
			return 0
		}
		f := tcp.Flow{
			LocalAddr: h.Dst, RemoteAddr: h.Src,
			LocalPort: binary.BigEndian.Uint16(payload[2:]), RemotePort: binary.BigEndian.Uint16(payload[0:]),
		}
		_ = s.host.Input(f, payload, h.TOS&tcp.ECNMask) // of a header that is malformed
	case ipv4.ProtoICMP:
		s.icmp(payload)
	}
	return 0
}

// icmp takes an ICMP error about a segment.
func (s *Stack) icmp(b []byte) {
	var m ipv4.ICMP
	var q ipv4.Quoted
	if ipv4.ParseICMP(b, &m) != nil || !m.Type.IsError() || ipv4.ParseQuoted(b[8:], &q) != nil || q.Proto != ipv4.ProtoTCP {
		return
	}
	kind := tcp.ICMPHostUnreachable
	if m.Type == ipv4.ICMPParameter {
		kind = tcp.ICMPParameterProblem
	}
	if m.Type == ipv4.ICMPUnreachable {
		switch m.Code {
		case ipv4.CodeNetUnreachable:
			kind = tcp.ICMPNetUnreachable
		case ipv4.CodeProtocolUnreachable, ipv4.CodePortUnreachable:
			kind = tcp.ICMPPortUnreachable
		case ipv4.CodeFragNeeded:
			kind = tcp.ICMPFragmentationNeeded
		}
	}
	f := tcp.Flow{LocalAddr: q.Src, RemoteAddr: q.Dst, LocalPort: q.SrcPort, RemotePort: q.DstPort}
	s.host.ICMP(f, kind, uint32(m.MTU()), tcp.Seq(q.Seq))
}

// output takes a segment of the host's and makes a packet of it. The caller holds mu.
func (s *Stack) output(f tcp.Flow, segment []byte, ecn uint8) {
	b := make([]byte, ipv4.MinHeaderLen+len(segment))
	s.ipID++
	h := ipv4.Header{
		TOS: ecn, TotalLen: uint16(len(b)), ID: s.ipID, DF: true, TTL: ipv4.DefaultTTL, Proto: ipv4.ProtoTCP,
		Src: f.LocalAddr, Dst: f.RemoteAddr,
	}
	n := h.Marshal(b)
	t := b[n:]
	copy(t, segment)
	t[16], t[17] = 0, 0
	sum := ipv4.PseudoHeaderSum(h.Src, h.Dst, ipv4.ProtoTCP, len(t))
	binary.BigEndian.PutUint16(t[16:], checksum.Finish(checksum.Sum(t, sum)))
	s.sent = append(s.sent, packet{bytes: b, at: time.Now()})
	s.change.Broadcast()
}

// Receive copies the next packet of the stack to b, waiting for it for some seconds, and returns its length and when it was sent.
// A length of 0 is that of no packet.
func (s *Stack) Receive(b []byte) (n int, at time.Time, e syscall.Errno) {
	n, e = s.wait(false, time.Now().Add(s.timeout), func() (int, syscall.Errno) {
		if len(s.sent) == 0 {
			return 0, syscall.EAGAIN
		}
		p := s.sent[0]
		s.sent = s.sent[1:]
		at = p.at
		return copy(b, p.bytes), 0
	})
	if e == syscall.EAGAIN {
		return 0, time.Now(), 0
	}
	return n, at, e
}

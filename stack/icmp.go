package stack

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// icmpInput handles an ICMP message: it answers an echo request in the frame that it came in, and tells the sockets that an
// error is about. The frame's range is the message.
func (s *Shard) icmpInput(f frame.Index, ip *ipv4.Header) {
	b := s.pool.Data(f)
	var m ipv4.ICMP
	if err := ipv4.ParseICMP(b, &m); err != nil {
		s.stats.ICMP.Count(err)
		s.pool.Release(f)
		return
	}
	switch {
	case m.Type == ipv4.ICMPEchoRequest && m.Code == 0:
		s.echoReply(f, ip)
		return
	case m.Type.IsError():
		s.icmpError(b, &m)
	default:
		s.stats.Drop.ICMPType++
	}
	s.pool.Release(f)
}

// echoReply turns the request into its reply where it lies.
func (s *Shard) echoReply(f frame.Index, ip *ipv4.Header) {
	m := s.pool.Meta(f)
	m.Off -= uint32(ip.HeaderLen)
	m.Len += uint32(ip.HeaderLen)
	reply := ipv4.EchoReply(s.pool.Data(f), ip, s.ids.next(ip.Dst, ip.Src, ipv4.ProtoICMP))
	s.stats.EchoReplies++
	s.sendRouted(frame.Desc{Frame: f, Off: m.Off + m.Len - uint32(len(reply)), Len: uint32(len(reply))}, ip.Src)
}

// icmpError tells the connection or socket whose packet is quoted.
func (s *Shard) icmpError(b []byte, m *ipv4.ICMP) {
	var q ipv4.Quoted
	if err := ipv4.ParseQuoted(b[ipv4.ICMPHeaderLen:], &q); err != nil {
		s.stats.ICMP.Count(err)
		return
	}
	if !s.owns(q.Src) {
		s.stats.ICMP.Quote++
		return
	}
	s.stats.ICMPErrors++
	switch q.Proto {
	case ipv4.ProtoTCP:
		s.tcpError(m, &q)
	case ipv4.ProtoUDP:
		if u := s.socketAt(q.Src, q.SrcPort); u != nil {
			u.icmpError(m, &q)
		}
	}
}

func (s *Shard) tcpError(m *ipv4.ICMP, q *ipv4.Quoted) {
	kind, ok := icmpKind(m)
	if !ok {
		return
	}
	e := tcpError{
		kind: kind, mtu: uint32(m.MTU()), seq: tcp.Seq(q.Seq),
		flow: tcp.Flow{LocalAddr: q.Src, RemoteAddr: q.Dst, LocalPort: q.SrcPort, RemotePort: q.DstPort},
	}
	if kind == tcp.ICMPFragmentationNeeded && e.mtu == 0 {
		e.mtu = uint32(ipv4.PathMTU(0, q.TotalLen)) // The router does not say.
	}
	if s.before != nil {
		s.relayError(&e)
	}
	s.shareError(e)
}

// shareError tells the connection that an error is about, whichever shard has it.
func (s *Shard) shareError(e tcpError) {
	if s.takeError(e) {
		return
	}
	// An ICMP error comes to any queue: routers' addresses and protocol are not those of the connection.
	for _, other := range s.stack.shards {
		if other != s && !other.offerError(e) {
			s.stats.Drop.ICMPShared++
		}
	}
}

// tcpError is what an ICMP error says about a segment.
type tcpError struct {
	flow tcp.Flow
	seq  tcp.Seq
	mtu  uint32
	kind tcp.ICMPKind
}

// takeError tells the connection, if it is one of this shard's.
func (s *Shard) takeError(e tcpError) bool {
	c := s.flows.lookup(&s.conns, &e.flow, s.hash(&e.flow))
	if c == nil {
		return false
	}
	if s.tracer != nil {
		s.tracer.mark(c)
	}
	c.tcp.ICMP(e.kind, e.mtu, e.seq, s.now)
	if s.tracer != nil {
		s.tracer.look()
	}
	s.schedule(c)
	return true
}

// offerError lets another shard look whether the error is about a connection of its own.
func (s *Shard) offerError(e tcpError) bool {
	ok := s.mailbox.Push(command{call: func(s *Shard) { s.takeError(e) }})
	if ok && s.sleeping.Load() {
		s.bell.Wake()
	}
	return ok
}

// icmpKind translates an ICMP error for TCP (RFC 9293 section 3.9.2.2, RFC 5461). Source quench is discarded (RFC 6633), and
// redirects are not TCP's.
func icmpKind(m *ipv4.ICMP) (tcp.ICMPKind, bool) {
	switch m.Type {
	case ipv4.ICMPTimeExceeded:
		return tcp.ICMPHostUnreachable, true
	case ipv4.ICMPParameter:
		return tcp.ICMPParameterProblem, true
	case ipv4.ICMPUnreachable:
		switch m.Code {
		case ipv4.CodeNetUnreachable:
			return tcp.ICMPNetUnreachable, true
		case ipv4.CodeProtocolUnreachable, ipv4.CodePortUnreachable:
			return tcp.ICMPPortUnreachable, true
		case ipv4.CodeFragNeeded:
			return tcp.ICMPFragmentationNeeded, true
		}
		return tcp.ICMPHostUnreachable, true
	}
	return 0, false
}

// unreachable answers the datagram in frame f, whose range begins after the IP header ip, with an ICMP error. The frame stays the
// caller's.
func (s *Shard) unreachable(f frame.Index, ip *ipv4.Header, m ipv4.ICMP) {
	r := s.pool.Meta(f)
	s.sendError(m, s.pool.Bytes(frame.Desc{Frame: f, Off: r.Off - uint32(ip.HeaderLen), Len: r.Len + uint32(ip.HeaderLen)}), ip)
}

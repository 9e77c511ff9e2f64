package stack

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// segment is a TCP segment of the batch between the passes of input.
type segment struct {
	frame frame.Index
	hash  uint32
	flow  tcp.Flow
	conn  *Conn

	// What plain compares: the flow as it is on the wire, 0 if the segment did not come that way.
	addresses uint64
	ports     uint32
	follows   bool // the segment before it in the batch has the same flow
	returned  bool // the process before has nothing for it
}

// input takes a batch of received frames through the stack in passes, each over the whole batch: parse, look up, queue. No
// look-up is interleaved with processing, so the memory that they need is fetched side by side.
func (s *Shard) input(batch []frame.Desc) {
	s.segments = s.segments[:0]
	bytes := uint64(0)
	for i := 0; i < len(batch); i++ {
		d := &batch[i]
		bytes += uint64(d.Len)
		if d.More {
			more := s.link(batch[i:])
			s.stats.Rx.Frames -= uint64(more)
			i += more
			s.parseFrame(d.Frame)
		} else if !s.plain(d.Frame) {
			s.parseFrame(d.Frame)
		}
	}
	s.stats.Rx.Bytes += bytes
	s.dispatch()
}

// dispatch takes the segments of the batch through the passes that follow parsing.
func (s *Shard) dispatch() {
	if s.conns.n >= aheadConns {
		s.fetchSegments()
	}
	s.lookUp()
	for i := range s.segments {
		g := &s.segments[i]
		if c := g.conn; c != nil {
			c.tcp.Enqueue(g.frame)
			s.schedule(c)
			continue
		}
		s.orphan(g)
	}
}

// lookUp finds the connections of the segments.
func (s *Shard) lookUp() {
	for i := range s.segments {
		g := &s.segments[i]
		if !g.follows {
			g.conn = s.flows.lookup(&s.conns, &g.flow, g.hash)
			continue
		}
		before := &s.segments[i-1]
		if g.conn = before.conn; g.conn == nil {
			g.flow, g.hash = before.flow, before.hash
		}
	}
}

// parseFrame takes a frame up to its transport protocol. Each layer narrows the frame's range to its payload. The frame is
// released or handed on.
func (s *Shard) parseFrame(f frame.Index) {
	m := s.pool.Meta(f)
	b := s.pool.Data(f)
	var eth ethernet.Header
	off, err := ethernet.Parse(b, &eth)
	if err != nil {
		s.stats.Ethernet.Count(err)
		s.release(f)
		return
	}
	switch {
	case eth.NumTags > 0:
		s.drop(f, &s.stats.Drop.VLAN)
	case eth.Type == ethernet.TypeARP:
		s.arpInput(b[off:])
		s.release(f)
	case eth.Type != ethernet.TypeIPv4:
		s.drop(f, &s.stats.Drop.EtherType)
	case eth.Dst != s.hw:
		// RFC 1122 section 3.2.2 and 4.2.3.10: what came by link broadcast is not answered, and is no TCP.
		s.drop(f, &s.stats.Drop.LinkAddress)
	default:
		m.Off += uint32(off)
		m.Len -= uint32(off)
		s.ipInput(f)
	}
}

// drop counts a frame's end under a reason and releases it.
func (s *Shard) drop(f frame.Index, reason *uint64) {
	*reason++
	s.release(f)
}

func (s *Shard) ipInput(f frame.Index) {
	m := s.pool.Meta(f)
	b := s.pool.Data(f)
	n := len(b)
	if m.Flags&tcp.MetaMore != 0 {
		n = s.packetLen(f)
	}
	var ip ipv4.Header
	if err := ipv4.ParseFirst(b, n, !s.rxSum, &ip); err != nil {
		s.stats.IP.Count(err)
		s.release(f)
		return
	}
	if !s.owns(ip.Dst) {
		s.drop(f, &s.stats.Drop.NotOurs)
		return
	}
	if s.isBroadcast(ip.Src) || s.owns(ip.Src) { // RFC 9293 section 3.9.2.3, RFC 1122 section 3.2.1.3
		s.drop(f, &s.stats.Drop.Source)
		return
	}
	if m.Flags&tcp.MetaMore != 0 {
		s.largePacket(f, &ip)
		return
	}
	if ip.IsFragment() {
		s.fragment(f, &ip)
		return
	}
	m.Off += uint32(ip.HeaderLen)
	m.Len = uint32(ip.TotalLen) - uint32(ip.HeaderLen)
	s.transport(f, &ip)
}

// transport hands a whole datagram to its protocol. The frame's range is the transport header and what follows.
func (s *Shard) transport(f frame.Index, ip *ipv4.Header) {
	switch ip.Proto {
	case ipv4.ProtoTCP:
		s.tcpInput(f, ip)
	case ipv4.ProtoUDP:
		s.udpInput(f, ip)
	case ipv4.ProtoICMP:
		s.icmpInput(f, ip)
	default:
		s.unreachable(f, ip, ipv4.ProtocolUnreachable())
		s.drop(f, &s.stats.Drop.Protocol)
	}
}

// tcpInput verifies a segment and puts it into the batch.
func (s *Shard) tcpInput(f frame.Index, ip *ipv4.Header) {
	b := s.pool.Data(f)
	if err := tcp.Parse(b, &s.seg); err != nil {
		s.drop(f, &s.stats.Drop.TCPHeader)
		return
	}
	if !s.rxSum && !s.validChecksum(f, ip) {
		s.drop(f, &s.stats.Drop.TCPChecksum)
		return
	}
	if ip.TOS&tcp.ECNMask == tcp.CE {
		s.pool.Meta(f).Flags |= tcp.MetaCE
	}
	n := len(s.segments)
	s.segments = s.segments[:n+1]
	flow := tcp.Flow{
		LocalAddr: ip.Dst, RemoteAddr: ip.Src,
		LocalPort: binary.BigEndian.Uint16(b[2:4]), RemotePort: binary.BigEndian.Uint16(b[0:2]),
	}
	s.segments[n] = segment{frame: f, hash: s.hash(&flow), flow: flow}
}

// orphan handles a segment for which the look-up found no connection: one may have been opened since by a segment before it in
// the batch; else it is for a compact TIME-WAIT record, a listener, or nobody.
func (s *Shard) orphan(g *segment) {
	if c := s.flows.lookup(&s.conns, &g.flow, g.hash); c != nil {
		c.tcp.Enqueue(g.frame)
		s.schedule(c)
		return
	}
	if s.marks == nil {
		s.strange(g)
		return
	}
	hash := g.hash
	s.marks.Add(hash) // or the shield would drop what comes after one record ended and before another or a connection begins
	s.strange(g)
	s.marks.Remove(hash)
}

// strange handles a segment of no connection.
func (s *Shard) strange(g *segment) {
	seg := &s.seg
	if tcp.ParseFrames(s.pool, g.frame, seg) != nil {
		s.drop(g.frame, &s.stats.Drop.TCPHeader)
		return
	}
	l := s.listenerAt(g.flow.LocalAddr, g.flow.LocalPort)
	found, v := s.timeWait.Input(g.flow, seg, l != nil, s.now, &s.out)
	if found && v != tcp.VerdictReopen {
		if v != tcp.VerdictDrop {
			s.replyTCP(&g.flow, &s.out)
		}
		s.drop(g.frame, &s.stats.TimeWaitSegments)
		return
	}
	if s.passOn(g) {
		return
	}
	if (s.before != nil || s.after != nil) && s.relayOn(g, seg, l) {
		return
	}
	if l == nil {
		if tcp.ResetFor(seg, &s.out) {
			s.replyTCP(&g.flow, &s.out)
		}
		s.drop(g.frame, &s.stats.Drop.NoListener)
		return
	}
	if seg.Flags&(tcp.FlagSYN|tcp.FlagACK|tcp.FlagRST) == tcp.FlagSYN {
		if n := s.stack.directory.putHandshake(&g.flow, s.id); n != s.id {
			s.handOn(g, s.stack.shards[n])
			return
		}
	}
	if s.shieldQueue != nil && seg.Flags&tcp.FlagACK != 0 {
		s.noteCookies(l)
	}
	if v == tcp.VerdictReopen {
		v = l.tcp.Reopen(g.flow, seg, s.out.Seq, s.now, &s.out)
	} else {
		v = l.tcp.Input(g.flow, seg, s.now, &s.out)
	}
	switch v {
	case tcp.VerdictAccept:
		s.accept(l, g)
		return
	case tcp.VerdictReply, tcp.VerdictReset:
		s.replyTCP(&g.flow, &s.out)
	}
	s.drop(g.frame, &s.stats.ListenerSegments)
}

// accept makes the connection whose handshake the segment has completed, and gives it the segment.
func (s *Shard) accept(l *listener, g *segment) {
	var t *TCPConn
	if l.net != nil {
		t = newTCPConn(l.net)
	}
	c := s.open(g.flow, g.hash, l.origin, t)
	if c == nil {
		l.tcp.Taken()
		if tcp.ResetFor(&s.seg, &s.out) {
			s.replyTCP(&g.flow, &s.out)
		}
		s.release(g.frame)
		return
	}
	if s.shieldQueue != nil {
		s.shieldQueue.AddOpened()
	}
	c.flags |= connWaiting
	s.stack.directory.put(&g.flow, s.id)
	c.tcp.Accept(s.core, l.tcp.Accepted(), l.cfg.Config, s.now)
	c.tcp.Enqueue(g.frame)
	s.schedule(c)
}

package stack

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// headroom is what is kept free before the payload of a frame that is sent: Ethernet, IPv4, the longest TCP header, rounded up so
// that the payload starts on a cache line.
const headroom = 128

// controlReserve is how many frames connections leave to answers that belong to none, at most: a stack whose senders hold all
// memory still answers ARP.
const controlReserve = 8

// headerTemplate is what the headers below TCP have in common in all connections of a shard: everything but the next hop's
// hardware address, the type of service, the length and the addresses, which are 0 in bytes and in the sums.
type headerTemplate struct {
	bytes  [ethernet.HeaderLen + ipv4.MinHeaderLen]byte
	ipSum  uint32 // sum of the IP header
	tcpSum uint32 // sum of the pseudo-header
}

func (h *headerTemplate) init(s *Shard) {
	eth := ethernet.Header{Src: s.hw, Type: ethernet.TypeIPv4}
	n := eth.Marshal(h.bytes[:])
	ip := ipv4.Header{TTL: s.cfg.TTL, DF: true, Proto: ipv4.ProtoTCP}
	ip.Marshal(h.bytes[n:])
	b := h.bytes[n:]
	b[2], b[3], b[10], b[11] = 0, 0, 0, 0
	h.ipSum = checksum.Sum(b, 0)
	h.tcpSum = ipv4.PseudoHeaderSum(ip.Src, ip.Dst, ipv4.ProtoTCP, 0)
}

// pull sends what is due of the connection. blocked means that it had to stop before the end: the device or the pool is
// exhausted, or the connection has had its share of the turn.
func (s *Shard) pull(c *Conn) (sent int, blocked bool) {
	s.core.Unreserve() // A callback has returned.
	if !s.resolve(c) {
		return 0, false
	}
	for ; sent < tcp.MaxSegmentsPerWake; sent++ {
		if s.room < s.frames {
			s.stats.Tx.RingFull++
			return sent, true
		}
		if s.pool.Free() < s.reserve+s.frames-1 {
			s.stats.Tx.PoolEmpty++
			return sent, true
		}
		if !c.tcp.Output(s.now, &s.out) {
			s.transmit()
			return sent, false
		}
		s.emit(c, &s.out)
	}
	s.transmit()
	return sent, c.tcp.Wants(s.now)
}

// emit writes the headers of one segment before its payload and queues the packet.
func (s *Shard) emit(c *Conn, o *tcp.OutSegment) {
	f, off := o.Frame, o.Off
	n := o.Len // of payload in the first frame
	if o.More != 0 {
		n = s.pool.Meta(f).Len
		s.makeRoom(1 + int(o.More))
	}
	switch {
	case f == frame.None:
		f, off = s.pool.Alloc(), headroom
	case o.Copy:
		f, off = s.pool.Alloc(), headroom
		copy(s.pool.Chunk(f)[off:off+n], s.pool.Chunk(o.Frame)[o.Off:o.Off+n])
	default:
		s.pool.Retain(f)
	}
	tcpLen := o.HeaderLen()
	h := &s.header
	start := off - uint32(len(h.bytes)+tcpLen)
	b := s.pool.Chunk(f)[start : off+n]
	flow := c.tcp.Flow()
	addrSum := addrSum(&flow)
	*(*[len(h.bytes)]byte)(b) = h.bytes
	*(*ethernet.Addr)(b) = c.hop
	ip := b[ethernet.HeaderLen:]
	tos := c.tos | o.ECN
	length := uint32(len(ip)) - n + o.Len
	ip[1] = tos
	binary.BigEndian.PutUint16(ip[2:], uint16(length))
	binary.BigEndian.PutUint16(ip[10:], checksum.Finish(h.ipSum+addrSum+uint32(tos)+length))
	*(*ipv4.Addr)(ip[12:]) = flow.LocalAddr
	*(*ipv4.Addr)(ip[16:]) = flow.RemoteAddr
	t := ip[ipv4.MinHeaderLen:]
	rest := h.tcpSum + addrSum + length - ipv4.MinHeaderLen
	d := frame.Desc{Frame: f, Off: start, Len: uint32(len(b)), Mark: frame.Mark{More: o.More != 0}}
	switch {
	case s.txSum:
		o.Marshal(t[:tcpLen], flow.LocalPort, flow.RemotePort)
		d.Ask = leaveSum(t, rest, tcp.ChecksumField)
	default:
		payload := uint32(o.Sum)
		if payload == 0 {
			payload = checksum.Sum(t[tcpLen:], 0)
		}
		if o.More != 0 {
			payload = s.sumMore(o, payload)
		}
		o.MarshalSum(t[:tcpLen], flow.LocalPort, flow.RemotePort, rest+payload)
	}
	s.queueTX(d)
	if o.More != 0 {
		s.emitMore(o)
	}
}

// addrSum returns the partial sum of a flow's addresses.
func addrSum(f *tcp.Flow) uint32 {
	a := uint64(binary.BigEndian.Uint32(f.LocalAddr[:])) + uint64(binary.BigEndian.Uint32(f.RemoteAddr[:]))
	return uint32(a>>16) + uint32(a&0xffff)
}

// leaveSum leaves the checksum of a packet to the device: that of its transport header and payload b, with its field there, to
// which the pseudo-header adds sum. It returns what the descriptor has to ask for.
func leaveSum(b []byte, sum uint32, field uint8) frame.Ask {
	binary.BigEndian.PutUint16(b[field:], checksum.Fold(sum))
	return frame.AskSum(plainTCP, field)
}

// queueTX queues a packet, or a frame of one, for the end of the turn. It takes over one ownership of the frame.
func (s *Shard) queueTX(d frame.Desc) {
	s.room--
	if s.tag != 0 {
		d = s.addTag(d)
	}
	s.txq = append(s.txq, d)
	if !d.More {
		s.stats.Tx.Frames++
	}
	s.stats.Tx.Bytes += uint64(d.Len)
	if len(s.txq) == cap(s.txq) {
		s.transmit()
	}
}

// transmit gives the queued packets to the device. What it has no room for is dropped and counted: callers that must not lose a
// packet look at room first.
func (s *Shard) transmit() {
	if len(s.txq) == 0 {
		return
	}
	n := s.dev.Transmit(s.txq)
	s.stats.Drop.TxRing += uint64(len(s.txq) - n)
	if len(s.tapping.taps) != 0 {
		s.tapOutput(s.txq, n)
	}
	for _, d := range s.txq {
		s.pool.Release(d.Frame)
	}
	s.txq = s.txq[:0]
}

// replyTCP sends a segment that belongs to no connection: a SYN-ACK, a reset, an ACK out of TIME-WAIT.
func (s *Shard) replyTCP(f *tcp.Flow, o *tcp.OutSegment) {
	n := o.HeaderLen()
	d, b := s.newPacket(n)
	if b == nil {
		return
	}
	o.Marshal(b, f.LocalPort, f.RemotePort)
	sum := ipv4.PseudoHeaderSum(f.LocalAddr, f.RemoteAddr, ipv4.ProtoTCP, n)
	if s.txSum {
		d.Ask = leaveSum(b, sum, tcp.ChecksumField)
	} else {
		binary.BigEndian.PutUint16(b[tcp.ChecksumField:], checksum.Finish(checksum.Sum(b, sum)))
	}
	s.sendIP(d, ipv4.ProtoTCP, o.ECN, f.LocalAddr, f.RemoteAddr)
}

// newPacket allocates a frame with n bytes of transport header and payload behind the reserved headroom, or returns nil when
// there is no frame, which is counted.
func (s *Shard) newPacket(n int) (frame.Desc, []byte) {
	f := s.pool.Alloc()
	if f == frame.None {
		s.stats.Drop.NoFrame++
		return frame.Desc{}, nil
	}
	d := frame.Desc{Frame: f, Off: headroom, Len: uint32(n)}
	return d, s.pool.Bytes(d)
}

// sendIP puts an IP header with these ECN bits before the packet d and sends it from src, an address of the stack's, to dst. It takes
// over the ownership of the frame.
func (s *Shard) sendIP(d frame.Desc, proto, ecn uint8, src, dst ipv4.Addr) {
	d.Off -= ipv4.MinHeaderLen
	d.Len += ipv4.MinHeaderLen
	h := ipv4.Header{
		TTL: s.cfg.TTL, TOS: s.cfg.TOS | ecn, DF: true, Proto: proto, Src: src, Dst: dst, TotalLen: uint16(d.Len),
	}
	h.Marshal(s.pool.Bytes(d))
	s.sendRouted(d, dst)
}

// sendRouted sends a complete IP packet to the next hop for dst. It takes over the ownership of the frame.
func (s *Shard) sendRouted(d frame.Desc, dst ipv4.Addr) {
	hop, ok := s.route(ipv4.Addr(s.pool.Bytes(d)[12:16]), dst)
	if !ok {
		s.stats.Drop.NoRoute++
		s.pool.Release(d.Frame)
		return
	}
	hw, ok := s.neigh.Lookup(hop, s.now)
	d = s.addLink(d, hw, ethernet.TypeIPv4)
	if ok {
		s.queueTX(d)
		return
	}
	if s.neigh.Resolve(hop, d, s.now) != ethernet.Queued {
		s.stats.Drop.Neighbour++
		s.pool.Release(d.Frame)
	}
}

// sendLink puts an Ethernet header before the packet and queues it. It takes over the ownership of the frame.
func (s *Shard) sendLink(d frame.Desc, dst ethernet.Addr, typ ethernet.Type) {
	s.queueTX(s.addLink(d, dst, typ))
}

func (s *Shard) addLink(d frame.Desc, dst ethernet.Addr, typ ethernet.Type) frame.Desc {
	d.Off -= ethernet.HeaderLen
	d.Len += ethernet.HeaderLen
	h := ethernet.Header{Dst: dst, Src: s.hw, Type: typ}
	h.Marshal(s.pool.Bytes(d))
	return d
}

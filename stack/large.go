package stack

import (
	"math/bits"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// A packet that is larger than a frame lies in several, of which the first has the headers: they are linked through Meta.Next, and all
// but the last have the flag tcp.MetaMore. TCP takes its payload in these frames, and sends such packets. Everything else that is so
// large is copied together, into memory that the shard has for that, and goes the way of a datagram that was reassembled; it is
// sent in fragments that fit a frame.

// link joins the frames of the first packet of the batch and returns how many there are beyond the first.
func (s *Shard) link(batch []frame.Desc) int {
	for i := range batch {
		d := &batch[i]
		if i != 0 {
			s.stats.Rx.Bytes += uint64(d.Len)
		}
		if !d.More || i == len(batch)-1 {
			return i
		}
		m := s.pool.Meta(d.Frame)
		m.Next = batch[i+1].Frame
		m.Flags |= tcp.MetaMore
	}
	return 0
}

// release gives up a received packet, of however many frames.
func (s *Shard) release(f frame.Index) {
	for m := s.pool.Meta(f); m.Flags&tcp.MetaMore != 0; m = s.pool.Meta(f) {
		next := m.Next
		s.pool.Release(f)
		f = next
	}
	s.pool.Release(f)
}

// packetLen returns the length of a packet, or what is left of it, in all its frames.
func (s *Shard) packetLen(f frame.Index) int {
	m := s.pool.Meta(f)
	n := m.Len
	for m.Flags&tcp.MetaMore != 0 {
		m = s.pool.Meta(m.Next)
		n += m.Len
	}
	return int(n)
}

// cutPacket cuts a packet off after n bytes, no more than it has: what follows is padding.
func (s *Shard) cutPacket(f frame.Index, n uint32) {
	for m := s.pool.Meta(f); ; m = s.pool.Meta(m.Next) {
		m.Len = min(m.Len, n)
		n -= m.Len
		if m.Flags&tcp.MetaMore == 0 {
			return
		}
		if n == 0 {
			m.Flags &^= tcp.MetaMore
			s.release(m.Next)
			return
		}
	}
}

// appendPacket appends what is left of a packet to b.
func (s *Shard) appendPacket(b []byte, f frame.Index) []byte {
	b = append(b, s.pool.Data(f)...)
	for m := s.pool.Meta(f); m.Flags&tcp.MetaMore != 0; {
		next := m.Next
		b = append(b, s.pool.Data(next)...)
		m = s.pool.Meta(next)
	}
	return b
}

// largePacket takes an IP packet of several frames with header ip to its protocol.
func (s *Shard) largePacket(f frame.Index, ip *ipv4.Header) {
	s.cutPacket(f, uint32(ip.TotalLen))
	if ip.Proto == ipv4.ProtoTCP && !ip.IsFragment() {
		m := s.pool.Meta(f)
		if int(m.Len) < int(ip.HeaderLen)+tcp.MinHeaderLen {
			s.stats.Drop.TCPHeader++
			s.release(f)
			return
		}
		m.Off += uint32(ip.HeaderLen)
		m.Len -= uint32(ip.HeaderLen)
		s.tcpInput(f, ip)
		return
	}
	s.large = s.appendPacket(s.large[:0], f)
	b := s.large
	s.release(f)
	if ip.IsFragment() {
		s.reassemble(b, ip)
		return
	}
	s.largeDatagram(b, ip)
}

// validChecksum reports whether the checksum of the segment that begins in frame f is right.
func (s *Shard) validChecksum(f frame.Index, ip *ipv4.Header) bool {
	sum := ipv4.PseudoHeaderSum(ip.Src, ip.Dst, ipv4.ProtoTCP, ip.PayloadLen())
	m := s.pool.Meta(f)
	if m.Flags&tcp.MetaMore == 0 {
		return tcp.VerifyChecksum(s.pool.Data(f), sum)
	}
	for odd := uint32(0); ; m = s.pool.Meta(f) {
		sum = addSum(sum, checksum.Sum(s.pool.Data(f), 0), odd)
		if m.Flags&tcp.MetaMore == 0 {
			return checksum.Valid(sum)
		}
		odd += m.Len
		f = m.Next
	}
}

// addSum adds the sum of a part that begins at an offset, which may be odd: its bytes are then in each other's place (RFC 1071 section
// 2, "parallel summation").
func addSum(sum, part, offset uint32) uint32 {
	if offset&1 != 0 {
		part = uint32(bits.ReverseBytes16(checksum.Fold(part)))
	}
	return checksum.Combine(sum, part)
}

// allocPacket copies a packet into frames, behind headroom. It returns frame.None if there are not enough to spare.
func (s *Shard) allocPacket(b []byte) frame.Index {
	room := s.pool.ChunkSize() - headroom
	if s.pool.Free() <= s.reserve+(len(b)-1)/room {
		return frame.None
	}
	first, last := frame.None, frame.None
	for n := 0; first == frame.None || n < len(b); {
		f := s.pool.Alloc()
		m := s.pool.Meta(f)
		m.Off, m.Len = headroom, uint32(copy(s.pool.Chunk(f)[headroom:], b[n:]))
		n += int(m.Len)
		if first == frame.None {
			first = f
		} else {
			l := s.pool.Meta(last)
			l.Next, l.Flags = f, tcp.MetaMore
		}
		last = f
	}
	return first
}

// makeRoom lets the queue for the end of the turn take a packet of so many frames.
func (s *Shard) makeRoom(frames int) {
	if len(s.txq)+frames > cap(s.txq) {
		s.transmit()
	}
}

// sumMore returns the partial sum of a segment's payload, of which that in the first frame has the sum given.
func (s *Shard) sumMore(o *tcp.OutSegment, sum uint32) uint32 {
	m := s.pool.Meta(o.Frame)
	at := m.Len
	for range o.More {
		f := m.Next
		m = s.pool.Meta(f)
		part := uint32(m.Sum)
		if part == 0 {
			part = checksum.Sum(s.pool.Data(f), 0)
		}
		sum = addSum(sum, part, at)
		at += m.Len
	}
	return sum
}

// emitMore queues the frames of a segment behind the first. One that the kernel still has, and may not have twice, is copied.
func (s *Shard) emitMore(o *tcp.OutSegment) {
	m := s.pool.Meta(o.Frame)
	for left := o.More; left != 0; left-- {
		f := m.Next
		m = s.pool.Meta(f)
		d := frame.Desc{Frame: f, Off: m.Off, Len: m.Len, Mark: frame.Mark{More: left > 1}}
		if s.pool.InTransmission(f) {
			d.Frame, d.Off = s.pool.Alloc(), headroom
			copy(s.pool.Chunk(d.Frame)[headroom:], s.pool.Data(f))
		} else {
			s.pool.Retain(f)
		}
		s.queueTX(d)
	}
}

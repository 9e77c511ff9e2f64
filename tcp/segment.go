package tcp

import (
	"encoding/binary"
	"errors"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

const (
	// MinHeaderLen and MaxHeaderLen bound the length of a TCP header with its options, in bytes.
	MinHeaderLen = 20
	MaxHeaderLen = 60

	// MaxSegmentsPerWake bounds how many received segments a connection processes before the others have their turn.
	MaxSegmentsPerWake = 100

	// DefaultMSS is what a peer that sends no MSS option takes (RFC 9293 section 3.7.1), in bytes.
	DefaultMSS = 536

	// MinMSS is the least MSS that is believed of a peer, in bytes: a smaller one would make it cheap to have the stack send a
	// flood of tiny segments.
	MinMSS = 88
)

// Errors of Parse.
var (
	ErrShort      = errors.New("tcp: segment is shorter than a header")
	ErrDataOffset = errors.New("tcp: data offset is less than a header or beyond the segment")
	ErrPorts      = errors.New("tcp: port is 0")
)

// Segment is a received segment, parsed. Every field is safe to use; only the first NumSACK of the SACK blocks mean anything.
type Segment struct {
	SrcPort, DstPort uint16
	Seq, Ack         Seq
	Window, Urgent   uint16 // Window is as on the wire, not scaled
	Flags            Flags
	HeaderLen        uint8  // bytes, options included: where the payload begins
	BadOptions       bool   // an option was malformed; it and those after it are ignored
	PayloadLen       uint32 // bytes
	Options
}

// Len returns how much of the sequence space the segment occupies: its payload, and one each for SYN and FIN.
func (s *Segment) Len() uint32 {
	return s.PayloadLen + uint32(s.Flags&FlagFIN) + uint32(s.Flags&FlagSYN)>>1
}

// End returns the sequence number after the segment's last.
func (s *Segment) End() Seq { return s.Seq.Add(s.Len()) }

// Has reports whether all the control bits f are set.
func (s *Segment) Has(f Flags) bool { return s.Flags&f == f }

// Acceptable reports whether any part of the segment is in a receive window of wnd bytes that begins with nxt: the first check of
// every segment (RFC 9293 section 3.10.7.4, table 6).
func (s *Segment) Acceptable(nxt Seq, wnd uint32) bool {
	n := s.Len()
	if n == 0 {
		return s.Seq == nxt || s.Seq.InWindow(nxt, wnd)
	}
	return s.Seq.InWindow(nxt, wnd) || s.End().Add(^uint32(0)).InWindow(nxt, wnd)
}

// Parse reads the segment b, header, options and payload, into s. It does not look at the checksum: see VerifyChecksum.
func Parse(b []byte, s *Segment) error {
	if len(b) < MinHeaderLen {
		return ErrShort
	}
	h := (*[MinHeaderLen]byte)(b)
	headerLen := int(h[12]>>4) * 4
	if headerLen < MinHeaderLen || headerLen > len(b) {
		return ErrDataOffset
	}
	s.SrcPort = binary.BigEndian.Uint16(h[0:2])
	s.DstPort = binary.BigEndian.Uint16(h[2:4])
	if s.SrcPort == 0 || s.DstPort == 0 {
		return ErrPorts
	}
	s.Seq = Seq(binary.BigEndian.Uint32(h[4:8]))
	s.Ack = Seq(binary.BigEndian.Uint32(h[8:12]))
	s.Flags = Flags(h[13])
	s.Window = binary.BigEndian.Uint16(h[14:16])
	s.Urgent = binary.BigEndian.Uint16(h[18:20])
	s.HeaderLen = uint8(headerLen)
	s.PayloadLen = uint32(len(b) - headerLen)
	s.BadOptions = !s.parse(b[MinHeaderLen:headerLen], s.Flags&FlagSYN != 0)
	return nil
}

// VerifyChecksum reports whether the checksum of the segment b is right; pseudo is the sum of the pseudo-header (RFC 9293 section
// 3.1), as ipv4.PseudoHeaderSum gives it.
func VerifyChecksum(b []byte, pseudo uint32) bool { return checksum.Valid(checksum.Sum(b, pseudo)) }

// OutSegment is a segment to be sent: what its header says, and where its payload is.
type OutSegment struct {
	Seq, Ack       Seq
	Window, Urgent uint16 // Window is as on the wire, scaled already
	Flags          Flags
	ECN            uint8  // the ECN field of the IP header: 0, not ECN-capable, or ECT0
	Sum            uint16 // the payload's partial checksum (RFC 1071), never 0 if it is known; 0: not known
	Copy           bool   // the payload must be copied to another frame: the kernel still has this one, or the room before Off is not free
	Options
	Frame    frame.Index // frame.None: no payload
	Off, Len uint32      // the payload in the frame's chunk: first byte from the start of the chunk, bytes
}

// Clear makes o a segment with no flags, options or payload.
func (o *OutSegment) Clear() {
	o.Seq, o.Ack, o.Window, o.Urgent, o.Flags, o.ECN, o.Copy = 0, 0, 0, 0, 0, 0, false
	o.Options.Clear()
	o.Frame, o.Off, o.Len, o.Sum = frame.None, 0, 0, 0
}

// HeaderLen returns the length of the header that Marshal writes, options included, in bytes.
func (o *OutSegment) HeaderLen() int { return MinHeaderLen + o.wireLen(o.Flags&FlagSYN != 0) }

// Marshal writes the header and the options into b, which must have room for HeaderLen bytes, and returns that length. The
// checksum field is 0.
func (o *OutSegment) Marshal(b []byte, srcPort, dstPort uint16) int {
	n := o.HeaderLen()
	b = b[:n]
	h := (*[MinHeaderLen]byte)(b)
	binary.BigEndian.PutUint16(h[0:2], srcPort)
	binary.BigEndian.PutUint16(h[2:4], dstPort)
	binary.BigEndian.PutUint32(h[4:8], uint32(o.Seq))
	binary.BigEndian.PutUint32(h[8:12], uint32(o.Ack))
	h[12] = byte(n/4) << 4
	h[13] = byte(o.Flags)
	binary.BigEndian.PutUint16(h[14:16], o.Window)
	binary.BigEndian.PutUint16(h[16:18], 0)
	binary.BigEndian.PutUint16(h[18:20], o.Urgent)
	if n > MinHeaderLen {
		o.marshal(b[MinHeaderLen:], o.Flags&FlagSYN != 0)
	}
	return n
}

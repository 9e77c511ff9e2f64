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

	// ChecksumField is where in the header the checksum is, in bytes.
	ChecksumField = 16

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
	Sum            uint16 // the partial checksum (RFC 1071) of the payload in Frame, never 0 if it is known; 0: not known
	Copy           bool   // the payload must be copied to another frame: the kernel still has this one, or the room before Off is not free
	Options
	Frame    frame.Index // frame.None: no payload
	Off, Len uint32      // the payload in the frame's chunk: first byte from the start of the chunk, bytes
	More     uint8       // the payload goes on in so many frames more, each Meta.Next of the one before: Len counts all of them
}

// Clear makes o a segment with no flags, options or payload.
func (o *OutSegment) Clear() {
	o.Seq, o.Ack, o.Window, o.Urgent, o.Flags, o.ECN, o.Copy = 0, 0, 0, 0, 0, 0, false
	o.Options.Clear()
	o.Frame, o.Off, o.Len, o.Sum, o.More = frame.None, 0, 0, 0, 0
}

// HeaderLen returns the length of the header that Marshal writes, options included, in bytes.
func (o *OutSegment) HeaderLen() int { return MinHeaderLen + o.wireLen(o.Flags&FlagSYN != 0) }

// Marshal writes the header and the options into b, which must have room for HeaderLen bytes, and returns that length. The
// checksum field is 0.
func (o *OutSegment) Marshal(b []byte, srcPort, dstPort uint16) int {
	n := o.HeaderLen()
	o.marshalHeader(b[:n], srcPort, dstPort)
	return n
}

// MarshalSum is Marshal into b, which has exactly HeaderLen bytes, with the right checksum. rest is the sum of all else that it covers:
// the pseudo-header, as ipv4.PseudoHeaderSum gives it, and the payload.
func (o *OutSegment) MarshalSum(b []byte, srcPort, dstPort uint16, rest uint32) {
	sum := o.marshalHeader(b, srcPort, dstPort) + uint64(rest)
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff // at most 2^17: there were fewer than 16 words
	binary.BigEndian.PutUint16(b[16:18], checksum.Finish(uint32(sum)))
}

// marshalHeader is Marshal into b, which has exactly HeaderLen bytes. It returns the sum of the header in words of 32 bits, from the
// values as they are written: the processor would have to wait for the stores if they were read from b at once.
func (o *OutSegment) marshalHeader(b []byte, srcPort, dstPort uint16) (sum uint64) {
	n := len(b)
	h := (*[MinHeaderLen]byte)(b)
	ports := uint64(srcPort)<<16 | uint64(dstPort)
	third := uint64(n/4)<<28 | uint64(o.Flags)<<16 | uint64(o.Window)
	binary.BigEndian.PutUint64(h[0:8], ports<<32|uint64(o.Seq))
	binary.BigEndian.PutUint64(h[8:16], uint64(o.Ack)<<32|third)
	binary.BigEndian.PutUint32(h[16:20], uint32(o.Urgent))
	sum = ports + uint64(o.Seq) + uint64(o.Ack) + third + uint64(o.Urgent)
	switch {
	case n == MinHeaderLen:
	case n == MinHeaderLen+timestampsLen && o.HasTS && o.Flags&FlagSYN == 0:
		t := (*[timestampsLen]byte)(b[MinHeaderLen:])
		binary.BigEndian.PutUint32(t[0:4], fastTimestamps)
		binary.BigEndian.PutUint64(t[4:12], uint64(o.TSVal)<<32|uint64(o.TSEcr))
		sum += fastTimestamps + uint64(o.TSVal) + uint64(o.TSEcr)
	default:
		o.marshal(b[MinHeaderLen:], o.Flags&FlagSYN != 0)
		sum += uint64(checksum.Sum(b[MinHeaderLen:], 0))
	}
	return sum
}

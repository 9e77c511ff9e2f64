package ipv4

import (
	"encoding/binary"
	"errors"

	"github.com/xdpstack/xdpstack/internal/checksum"
)

// ICMPHeaderLen is the length of an ICMP header in bytes: type, code, checksum and four bytes that depend on the type.
const ICMPHeaderLen = 8

// ICMPType is the type of an ICMP message.
type ICMPType uint8

// Types of RFC 792.
const (
	ICMPEchoReply    ICMPType = 0
	ICMPUnreachable  ICMPType = 3
	ICMPSourceQuench ICMPType = 4 // deprecated by RFC 6633, to be ignored
	ICMPRedirect     ICMPType = 5
	ICMPEchoRequest  ICMPType = 8
	ICMPTimeExceeded ICMPType = 11
	ICMPParameter    ICMPType = 12
)

// Codes of ICMPUnreachable (RFC 792, RFC 1122 section 3.2.2.1).
const (
	CodeNetUnreachable      uint8 = 0
	CodeHostUnreachable     uint8 = 1
	CodeProtocolUnreachable uint8 = 2
	CodePortUnreachable     uint8 = 3
	CodeFragNeeded          uint8 = 4
	CodeSourceRouteFailed   uint8 = 5
	CodeAdminProhibited     uint8 = 13
)

// Codes of ICMPTimeExceeded.
const (
	CodeTTLExceeded        uint8 = 0
	CodeReassemblyExceeded uint8 = 1
)

// IsError reports whether messages of this type report an error and quote the packet that caused it.
func (t ICMPType) IsError() bool {
	switch t {
	case ICMPUnreachable, ICMPSourceQuench, ICMPRedirect, ICMPTimeExceeded, ICMPParameter:
		return true
	}
	return false
}

// Errors of ParseICMP and ParseQuoted, one for each reason to drop a message.
var (
	ErrICMPShort    = errors.New("ipv4: ICMP message is shorter than 8 bytes")
	ErrICMPChecksum = errors.New("ipv4: ICMP checksum is wrong")
	ErrICMPQuote    = errors.New("ipv4: ICMP error does not quote a header and 8 bytes")
)

// ICMP is a parsed ICMP header.
type ICMP struct {
	Type ICMPType
	Code uint8
	Rest uint32 // the four bytes after the checksum; their meaning depends on the type
}

// ID returns the identifier of an echo request or reply.
func (m *ICMP) ID() uint16 { return uint16(m.Rest >> 16) }

// Seq returns the sequence number of an echo request or reply.
func (m *ICMP) Seq() uint16 { return uint16(m.Rest) }

// MTU returns the next hop's MTU from a "fragmentation needed" message (RFC 1191 section 4), or 0 from a router that does not say.
func (m *ICMP) MTU() uint16 { return uint16(m.Rest) }

// ParseICMP reads the ICMP message b, the whole payload of a datagram, into m and verifies its checksum.
func ParseICMP(b []byte, m *ICMP) error {
	if len(b) < ICMPHeaderLen {
		return ErrICMPShort
	}
	if !checksum.Valid(checksum.Sum(b, 0)) {
		return ErrICMPChecksum
	}
	m.Type = ICMPType(b[0])
	m.Code = b[1]
	m.Rest = binary.BigEndian.Uint32(b[4:])
	return nil
}

// Marshal writes m to the start of b and the checksum over all of b, whose other bytes are the message's body already. It
// returns the length of b, or 0 if b is too short.
func (m *ICMP) Marshal(b []byte) int {
	if len(b) < ICMPHeaderLen {
		return 0
	}
	b[0], b[1], b[2], b[3] = byte(m.Type), m.Code, 0, 0
	binary.BigEndian.PutUint32(b[4:], m.Rest)
	binary.BigEndian.PutUint16(b[2:], checksum.Finish(checksum.Sum(b, 0)))
	return len(b)
}

// EchoReply turns packet b, an echo request that Parse (header h) and ParseICMP accepted, into its reply, in place. It returns the
// reply: the end of b, with a fresh header of 20 bytes in front, that is from byte HeaderLen - 20 of b. Options of the request are
// left out. id is the identification of the new datagram.
//
// The data comes back as it was (RFC 1122 section 3.2.2.6), so the checksum changes only by the type.
func EchoReply(b []byte, h *Header, id uint16) []byte {
	m := h.Payload(b)
	m[0] = byte(ICMPEchoReply)
	sum := checksum.Update16(binary.BigEndian.Uint16(m[2:]), uint16(ICMPEchoRequest)<<8, uint16(ICMPEchoReply)<<8)
	if sum == 0 {
		// An update cannot tell the two zeros of ones' complement apart: a message of nothing but zeros has the checksum ffff.
		m[2], m[3] = 0, 0
		sum = checksum.Finish(checksum.Sum(m, 0))
	}
	binary.BigEndian.PutUint16(m[2:], sum)
	r := Header{
		TOS:      h.TOS,
		TotalLen: uint16(MinHeaderLen + len(m)),
		ID:       id,
		TTL:      DefaultTTL,
		Proto:    ProtoICMP,
		Src:      h.Dst,
		Dst:      h.Src,
	}
	b = b[h.HeaderLen-MinHeaderLen : h.TotalLen : h.TotalLen]
	r.Marshal(b)
	return b
}

// Quoted is what an ICMP error says about the packet that caused it. Its source is this host if the error is genuine, which the
// receiver checks by the flow, and for TCP by the sequence number too (RFC 5927 section 4.1).
type Quoted struct {
	Header            // of the packet that we sent; its TotalLen may exceed what is quoted
	Transport [8]byte // the first bytes of its payload
	SrcPort   uint16  // of TCP and UDP
	DstPort   uint16  // of TCP and UDP
	Seq       uint32  // of TCP
}

// ParseQuoted reads the body of an ICMP error, the bytes after its 8-byte header, into q. The quoted header's checksum is not
// verified: routers have been at it.
func ParseQuoted(b []byte, q *Quoted) error {
	if len(b) < MinHeaderLen {
		return ErrICMPQuote
	}
	q.read((*[MinHeaderLen]byte)(b))
	n := int(q.HeaderLen)
	if b[0]>>4 != 4 || n < MinHeaderLen || len(b) < n+8 || int(q.TotalLen) < n+8 {
		return ErrICMPQuote
	}
	q.Transport = [8]byte(b[n : n+8])
	q.SrcPort = binary.BigEndian.Uint16(q.Transport[0:])
	q.DstPort = binary.BigEndian.Uint16(q.Transport[2:])
	q.Seq = binary.BigEndian.Uint32(q.Transport[4:])
	return nil
}

package ipv4

import (
	"encoding/binary"
	"errors"

	"github.com/xdpstack/xdpstack/internal/checksum"
)

// Sizes in bytes.
const (
	MinHeaderLen = 20    // a header without options
	MaxHeaderLen = 60    // with all options that fit
	MaxLen       = 65535 // a whole datagram
	MinMTU       = 68    // what every link must carry in one piece (RFC 791 section 3.2)
)

// DefaultTTL is the time to live of packets that the stack sends (RFC 1700).
const DefaultTTL = 64

// Protocol numbers.
const (
	ProtoICMP uint8 = 1
	ProtoTCP  uint8 = 6
	ProtoUDP  uint8 = 17
)

// Errors of Parse, one for each reason to drop a packet. Stats.Count tells them apart.
var (
	ErrShort       = errors.New("ipv4: packet is shorter than a header")
	ErrVersion     = errors.New("ipv4: version is not 4")
	ErrHeaderLen   = errors.New("ipv4: header length is less than 20 bytes or more than the packet")
	ErrTotalLen    = errors.New("ipv4: total length is less than the header or more than the packet")
	ErrChecksum    = errors.New("ipv4: header checksum is wrong")
	ErrFragment    = errors.New("ipv4: fragment has an impossible offset or length")
	ErrOptions     = errors.New("ipv4: options are malformed")
	ErrSourceRoute = errors.New("ipv4: packet is source-routed")
	ErrSource      = errors.New("ipv4: source address is not of a single host")
	ErrDestination = errors.New("ipv4: destination address is loopback, reserved or of network zero")
	ErrSameAddress = errors.New("ipv4: source and destination address are the same")
)

// Header is a parsed header. After Parse returned no error, MinHeaderLen <= HeaderLen <= TotalLen <= length of the packet.
type Header struct {
	HeaderLen  uint8  // bytes, options included
	TOS        uint8  // differentiated services (6 bits), ECN (2 bits)
	TotalLen   uint16 // bytes, header and payload
	ID         uint16
	FragOffset uint16 // bytes, a multiple of 8
	DF, MF     bool   // don't fragment, more fragments
	TTL        uint8
	Proto      uint8
	Src, Dst   Addr
}

// PayloadLen returns the length of the payload in bytes.
func (h *Header) PayloadLen() int { return int(h.TotalLen) - int(h.HeaderLen) }

// Payload returns the payload of packet b, which h was parsed from. Padding of the link layer is not in it.
func (h *Header) Payload(b []byte) []byte { return b[h.HeaderLen:h.TotalLen:h.TotalLen] }

// IsFragment reports whether the packet is a part of a datagram.
func (h *Header) IsFragment() bool { return h.MF || h.FragOffset != 0 }

// Parse reads the header of packet b into h and checks all of it, the checksum too. b may have padding behind the packet. After
// an error h has no meaning.
//
// A time to live of zero or one is no reason to drop a packet that has arrived (RFC 1122 section 3.2.1.7).
func Parse(b []byte, h *Header) error { return ParseFirst(b, len(b), true, h) }

// ParseNoChecksum is Parse for a packet whose checksum the device has verified.
func ParseNoChecksum(b []byte, h *Header) error { return ParseFirst(b, len(b), false, h) }

// ParseFirst is Parse for a packet of length bytes of which b is the beginning, with all of the header. The checksum is verified if
// that is asked for.
func ParseFirst(b []byte, length int, verify bool, h *Header) error {
	if err := parse(b, length, h); err != nil {
		return err
	}
	if !verify {
		return check(b, h)
	}
	sum := checksum.SumHeader((*[MinHeaderLen]byte)(b))
	if h.HeaderLen > MinHeaderLen {
		sum = checksum.Sum(b[MinHeaderLen:h.HeaderLen], sum)
	}
	if !checksum.Valid(sum) {
		return ErrChecksum
	}
	return check(b, h)
}

// parse reads the fields and checks the lengths.
func parse(b []byte, length int, h *Header) error {
	if len(b) < MinHeaderLen {
		return ErrShort
	}
	p := (*[MinHeaderLen]byte)(b)
	h.read(p)
	switch {
	case p[0]>>4 != 4:
		return ErrVersion
	case h.HeaderLen < MinHeaderLen || int(h.HeaderLen) > len(b):
		return ErrHeaderLen
	case int(h.TotalLen) < int(h.HeaderLen) || int(h.TotalLen) > length:
		return ErrTotalLen
	}
	return nil
}

// read takes the fields from the wire, unchecked.
func (h *Header) read(p *[MinHeaderLen]byte) {
	frag := binary.BigEndian.Uint16(p[6:])
	h.HeaderLen = p[0] & 15 * 4
	h.TOS = p[1]
	h.TotalLen = binary.BigEndian.Uint16(p[2:])
	h.ID = binary.BigEndian.Uint16(p[4:])
	h.FragOffset = frag & 0x1fff * 8
	h.DF = frag&flagDF != 0
	h.MF = frag&flagMF != 0
	h.TTL = p[8]
	h.Proto = p[9]
	h.Src = Addr(p[12:16])
	h.Dst = Addr(p[16:20])
}

const (
	flagDF = 0x4000
	flagMF = 0x2000
)

// check looks at what the fields mean.
func check(b []byte, h *Header) error {
	if h.IsFragment() {
		// Every fragment but the last carries a multiple of 8 bytes, and none ends beyond the largest datagram (RFC 791
		// section 3.2; the "ping of death").
		n := h.PayloadLen()
		if n == 0 || h.MF && n%8 != 0 || int(h.HeaderLen)+int(h.FragOffset)+n > MaxLen {
			return ErrFragment
		}
	}
	switch {
	case !h.Src.IsHost():
		return ErrSource
	case h.Dst[0] == 0 || h.Dst.IsLoopback() || h.Dst[0] >= 240 && h.Dst != LimitedBroadcast:
		return ErrDestination
	case h.Src == h.Dst:
		return ErrSameAddress // nobody but the host itself has this source: the "LAND" attack
	case h.HeaderLen > MinHeaderLen:
		return checkOptions(b[MinHeaderLen:h.HeaderLen])
	}
	return nil
}

// Option types (RFC 791 section 3.1).
const (
	optEnd               = 0
	optNop               = 1
	optLooseSourceRoute  = 131
	optStrictSourceRoute = 137
)

// checkOptions walks over the options. All are ignored (RFC 1122 section 3.2.1.8 lets a host do so) but for source routes: they
// let an attacker receive the answers to a forged source address, and RFC 7126 sections 4.3 and 4.4 advise to drop them.
func checkOptions(o []byte) error {
	for len(o) > 0 {
		switch o[0] {
		case optEnd:
			return nil
		case optNop:
			o = o[1:]
			continue
		case optLooseSourceRoute, optStrictSourceRoute:
			return ErrSourceRoute
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return ErrOptions
		}
		o = o[o[1]:]
	}
	return nil
}

// Marshal writes a header without options and with its checksum to the start of b and returns its length, MinHeaderLen, or 0 if b
// is too short. HeaderLen is not used; TotalLen is that of the whole packet.
//
// A datagram with DF that is not a fragment is atomic, and its ID has no meaning (RFC 6864 section 4.1): any will do, zero too.
func (h *Header) Marshal(b []byte) int {
	if len(b) < MinHeaderLen {
		return 0
	}
	p := (*[MinHeaderLen]byte)(b)
	frag := h.FragOffset / 8
	if h.DF {
		frag |= flagDF
	}
	if h.MF {
		frag |= flagMF
	}
	p[0] = 4<<4 | MinHeaderLen/4
	p[1] = h.TOS
	binary.BigEndian.PutUint16(p[2:], h.TotalLen)
	binary.BigEndian.PutUint16(p[4:], h.ID)
	binary.BigEndian.PutUint16(p[6:], frag)
	p[8] = h.TTL
	p[9] = h.Proto
	p[10], p[11] = 0, 0
	copy(p[12:16], h.Src[:])
	copy(p[16:20], h.Dst[:])
	binary.BigEndian.PutUint16(p[10:], checksum.Finish(checksum.SumHeader(p)))
	return MinHeaderLen
}

// PseudoHeaderSum returns the partial checksum of the pseudo-header that TCP (RFC 9293 section 3.1) and UDP (RFC 768) put before
// their own. length is that of the transport header and its payload in bytes.
func PseudoHeaderSum(src, dst Addr, proto uint8, length int) uint32 {
	s, d := src.Uint32(), dst.Uint32()
	sum := s>>16 + s&0xffff + d>>16 + d&0xffff + uint32(proto) + uint32(length)
	return sum>>16 + sum&0xffff // at most 0x10004: not quite folded, which is no matter to whom adds to it
}

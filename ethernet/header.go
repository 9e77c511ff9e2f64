package ethernet

import (
	"encoding/binary"
	"errors"
)

// Sizes in bytes.
const (
	HeaderLen    = 14                         // destination, source, type
	TagLen       = 4                          // one VLAN tag
	MaxTags      = 2                          // a service tag and a customer tag
	MaxHeaderLen = HeaderLen + MaxTags*TagLen // what a frame may have before its payload
)

// Type is an EtherType: what the payload is, or the protocol identifier of a VLAN tag.
type Type uint16

// The types that the stack knows.
const (
	TypeIPv4 Type = 0x0800
	TypeARP  Type = 0x0806
	TypeVLAN Type = 0x8100 // IEEE 802.1Q customer tag
	TypeIPv6 Type = 0x86dd
	TypeQinQ Type = 0x88a8 // IEEE 802.1ad service tag

	minType Type = 0x0600 // below it the field is an IEEE 802.3 length
)

// Errors of Parse, one for each reason to drop a frame. Stats.Count tells them apart.
var (
	ErrShort  = errors.New("ethernet: frame is shorter than its header")
	ErrLength = errors.New("ethernet: frame has an 802.3 length instead of a type")
	ErrTags   = errors.New("ethernet: frame has more than two VLAN tags")
	ErrSource = errors.New("ethernet: source address is a group or zero address")
)

// Tag is a VLAN tag.
type Tag struct {
	TPID Type   // TypeVLAN or TypeQinQ
	TCI  uint16 // priority (3 bits), drop eligible (1), VLAN identifier (12)
}

// VLAN returns the VLAN identifier.
func (t Tag) VLAN() uint16 { return t.TCI & 0x0fff }

// Header is a parsed Ethernet header.
type Header struct {
	Dst, Src Addr
	Type     Type // of the payload, after the tags
	NumTags  uint8
	Tags     [MaxTags]Tag // the outer one first; those from NumTags on have no meaning
}

// Len returns the length of the header in bytes, tags included.
func (h *Header) Len() int { return HeaderLen + int(h.NumTags)*TagLen }

// Parse reads the header of frame b into h and returns where the payload begins. The payload may be empty and may be longer than
// the packet in it, because short frames are padded to 60 bytes. After an error h has no meaning.
func Parse(b []byte, h *Header) (payloadOff int, err error) {
	if len(b) < HeaderLen {
		return 0, ErrShort
	}
	h.Dst = Addr(b[0:6])
	h.Src = Addr(b[6:12])
	h.Type = Type(binary.BigEndian.Uint16(b[12:14]))
	h.NumTags = 0
	if h.Src.IsMulticast() || h.Src.IsZero() {
		return 0, ErrSource
	}
	off := HeaderLen
	for h.Type == TypeVLAN || h.Type == TypeQinQ {
		if h.NumTags == MaxTags {
			return 0, ErrTags
		}
		if len(b) < off+TagLen {
			return 0, ErrShort
		}
		h.Tags[h.NumTags] = Tag{TPID: h.Type, TCI: binary.BigEndian.Uint16(b[off:])}
		h.NumTags++
		h.Type = Type(binary.BigEndian.Uint16(b[off+2:]))
		off += TagLen
	}
	if h.Type < minType {
		return 0, ErrLength
	}
	return off, nil
}

// Marshal writes the header to the start of b and returns its length, or 0 if b is too short for it.
func (h *Header) Marshal(b []byte) int {
	n := int(min(h.NumTags, MaxTags))
	if len(b) < HeaderLen+n*TagLen {
		return 0
	}
	copy(b[0:6], h.Dst[:])
	copy(b[6:12], h.Src[:])
	off := 12
	for _, t := range h.Tags[:n] {
		binary.BigEndian.PutUint16(b[off:], uint16(t.TPID))
		binary.BigEndian.PutUint16(b[off+2:], t.TCI)
		off += TagLen
	}
	binary.BigEndian.PutUint16(b[off:], uint16(h.Type))
	return off + 2
}

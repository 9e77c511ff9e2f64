package udp

import (
	"encoding/binary"
	"errors"

	"github.com/xdpstack/xdpstack/internal/checksum"
)

// HeaderLen is the length of a UDP header in bytes.
const HeaderLen = 8

// ChecksumField is where in the header the checksum is, in bytes.
const ChecksumField = 6

// Errors of Parse and Verify, one for each reason to drop a datagram. Stats.Count tells them apart.
var (
	ErrShort    = errors.New("udp: datagram is shorter than 8 bytes")
	ErrLength   = errors.New("udp: length field is less than 8 or more than the datagram")
	ErrPort     = errors.New("udp: destination port is zero")
	ErrChecksum = errors.New("udp: checksum is wrong")
)

// Header is a UDP header. After Parse returned no error, HeaderLen <= Length <= length of the datagram.
type Header struct {
	SrcPort  uint16 // zero if the sender wants no answer
	DstPort  uint16
	Length   uint16 // bytes, header and payload
	Checksum uint16 // zero: none
}

// Payload returns the payload of datagram b, which h was parsed from.
func (h *Header) Payload(b []byte) []byte { return b[HeaderLen:h.Length:h.Length] }

// Parse reads the header of datagram b, an IP packet's whole payload, into h. It does not verify the checksum. After an error h
// has no meaning.
func Parse(b []byte, h *Header) error {
	if len(b) < HeaderLen {
		return ErrShort
	}
	p := (*[HeaderLen]byte)(b)
	h.SrcPort = binary.BigEndian.Uint16(p[0:])
	h.DstPort = binary.BigEndian.Uint16(p[2:])
	h.Length = binary.BigEndian.Uint16(p[4:])
	h.Checksum = binary.BigEndian.Uint16(p[6:])
	switch {
	case h.Length < HeaderLen || int(h.Length) > len(b):
		return ErrLength
	case h.DstPort == 0:
		return ErrPort
	}
	return nil
}

// Verify returns ErrChecksum if the datagram b, which h was parsed from, has a checksum and it is wrong. pseudo is the sum of the
// pseudo-header with h.Length as its length (ipv4.PseudoHeaderSum).
func (h *Header) Verify(b []byte, pseudo uint32) error {
	if h.Checksum == 0 || checksum.Valid(checksum.Sum(b[:h.Length], pseudo)) {
		return nil
	}
	return ErrChecksum
}

// Marshal writes the header, its Checksum as it is, to the start of b and returns HeaderLen, or 0 if b is too short.
func (h *Header) Marshal(b []byte) int {
	if len(b) < HeaderLen {
		return 0
	}
	p := (*[HeaderLen]byte)(b)
	binary.BigEndian.PutUint16(p[0:], h.SrcPort)
	binary.BigEndian.PutUint16(p[2:], h.DstPort)
	binary.BigEndian.PutUint16(p[4:], h.Length)
	binary.BigEndian.PutUint16(p[6:], h.Checksum)
	return HeaderLen
}

// SetChecksum computes the checksum of the whole datagram b, header and payload, and writes it to the header. pseudo is the sum of
// the pseudo-header. It does nothing if b is shorter than a header.
func SetChecksum(b []byte, pseudo uint32) {
	if len(b) < HeaderLen {
		return
	}
	b[6], b[7] = 0, 0
	c := checksum.Finish(checksum.Sum(b, pseudo))
	if c == 0 {
		c = 0xffff // zero would say that there is no checksum
	}
	binary.BigEndian.PutUint16(b[6:], c)
}

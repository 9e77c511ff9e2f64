package gen

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/ethernet"
)

// SignatureLen is the length of a signature in bytes.
const SignatureLen = 16

// signatureMagic begins each signature: "xd".
const signatureMagic = 0x7864

// Signature is what a generated packet says about itself in the last 16 bytes of its payload, so that a receiver can count what is
// lost, doubled or out of order, and tell how long the packet was under way:
//
//	0       2        3        4               8                               16
//	┌───────┬────────┬────────┬───────────────┬───────────────────────────────┐
//	│ magic │ worker │ stream │ sequence      │ time                          │  big-endian
//	└───────┴────────┴────────┴───────────────┴───────────────────────────────┘
type Signature struct {
	Worker   uint8  // of the workers that send together, from 0
	Stream   uint8  // of the streams of a profile, from 0
	Sequence uint32 // of the packets of this stream and worker, from 0; it wraps
	Time     uint64 // when the packet was written, in nanoseconds of CLOCK_TAI; 0: not known
}

// ID returns worker and stream as one number: sequences are counted for each.
func (s Signature) ID() uint16 { return uint16(s.Worker)<<8 | uint16(s.Stream) }

// PutSignature writes s to the first 16 bytes of b.
func PutSignature(b []byte, s Signature) {
	p := (*[SignatureLen]byte)(b)
	binary.BigEndian.PutUint64(p[0:], s.head())
	binary.BigEndian.PutUint64(p[8:], s.Time)
}

// head returns the first half of a signature.
func (s Signature) head() uint64 {
	return signatureMagic<<48 | uint64(s.ID())<<32 | uint64(s.Sequence)
}

// FindSignature returns the signature of a packet, which begins with its Ethernet header: the last 16 bytes of the IPv4 datagram, or of
// the packet if it is none, so that the padding of short packets does not hide it. A packet in a tunnel that is as long as what carries
// it, as VXLAN's is, has it at the same place. No checksum is verified.
func FindSignature(packet []byte) (Signature, bool) {
	if len(packet) < ethernet.HeaderLen {
		return Signature{}, false
	}
	off := ethernet.HeaderLen
	kind := ethernet.Type(binary.BigEndian.Uint16(packet[12:]))
	for kind == ethernet.TypeVLAN || kind == ethernet.TypeQinQ {
		if len(packet) < off+ethernet.TagLen {
			return Signature{}, false
		}
		kind = ethernet.Type(binary.BigEndian.Uint16(packet[off+2:]))
		off += ethernet.TagLen
	}
	end := len(packet)
	if kind == ethernet.TypeIPv4 {
		if len(packet) < off+4 {
			return Signature{}, false
		}
		end = min(off+int(binary.BigEndian.Uint16(packet[off+2:])), end)
	}
	if end < off+SignatureLen {
		return Signature{}, false
	}
	p := (*[SignatureLen]byte)(packet[end-SignatureLen:])
	head := binary.BigEndian.Uint64(p[0:])
	if head>>48 != signatureMagic {
		return Signature{}, false
	}
	return Signature{
		Worker:   uint8(head >> 40),
		Stream:   uint8(head >> 32),
		Sequence: uint32(head),
		Time:     binary.BigEndian.Uint64(p[8:]),
	}, true
}

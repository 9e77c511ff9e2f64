package tcp

import "math/bits"

// SipHash is the keyed pseudorandom function behind everything here that an attacker must not be able to predict: which flows
// collide in a table, initial sequence numbers, SYN cookies. The messages are all of 12 bytes and more, of known length, so the
// words come as arguments and nothing is copied.

type sipState struct{ v0, v1, v2, v3 uint64 }

func newSip(key0, key1 uint64) sipState {
	return sipState{
		key0 ^ 0x736f6d6570736575,
		key1 ^ 0x646f72616e646f6d,
		key0 ^ 0x6c7967656e657261,
		key1 ^ 0x7465646279746573,
	}
}

func (s *sipState) round() {
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32) + v3
	v2 += v1
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	s.v0, s.v1, s.v2, s.v3 = v0, v1, bits.RotateLeft64(v2, 32), v3
}

// sip13 is SipHash-1-3 of a 12-byte message: a is its first 8 bytes, b the other 4, both little endian.
func sip13(key0, key1, a, b uint64) uint64 {
	s := newSip(key0, key1)
	s.v3 ^= a
	s.round()
	s.v0 ^= a
	b |= 12 << 56
	s.v3 ^= b
	s.round()
	s.v0 ^= b
	s.v2 ^= 0xff
	s.round()
	s.round()
	s.round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// sip24 is SipHash-2-4 of a 24-byte message.
func sip24(key0, key1, a, b, c uint64) uint64 {
	s := newSip(key0, key1)
	for _, m := range [4]uint64{a, b, c, 24 << 56} {
		s.v3 ^= m
		s.round()
		s.round()
		s.v0 ^= m
	}
	s.v2 ^= 0xff
	s.round()
	s.round()
	s.round()
	s.round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

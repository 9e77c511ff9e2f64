package tcp

import "math/bits"

// SipHash is the keyed pseudorandom function behind everything here that an attacker must not be able to predict: which flows
// collide in a table, initial sequence numbers, SYN cookies. The messages are of known lengths, so their words come as
// arguments and nothing is copied.

// The constants that the key is mixed with.
const (
	sip0 = 0x736f6d6570736575
	sip1 = 0x646f72616e646f6d
	sip2 = 0x6c7967656e657261
	sip3 = 0x7465646279746573
)

// sipHalf is half of a SipRound; the other half is the same with v0 and v2 exchanged and other rotations. A whole round would be too
// large for the compiler to inline, and the state must stay in registers.
func sipHalf(v0, v1, v2, v3 uint64, r1, r3 int) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v2 += v3
	return bits.RotateLeft64(v0, 32), bits.RotateLeft64(v1, r1) ^ v0, v2, bits.RotateLeft64(v3, r3) ^ v2
}

// sip13 is SipHash-1-3 of a 12-byte message: a is its first 8 bytes, b the other 4, both little endian.
func sip13(key0, key1, a, b uint64) uint64 {
	v0, v1, v2, v3 := key0^sip0, key1^sip1, key0^sip2, key1^sip3
	b |= 12 << 56

	v3 ^= a
	v0, v1, v2, v3 = sipHalf(v0, v1, v2, v3, 13, 16)
	v2, v1, v0, v3 = sipHalf(v2, v1, v0, v3, 17, 21)
	v0 ^= a

	v3 ^= b
	v0, v1, v2, v3 = sipHalf(v0, v1, v2, v3, 13, 16)
	v2, v1, v0, v3 = sipHalf(v2, v1, v0, v3, 17, 21)
	v0 ^= b

	v2 ^= 0xff
	for range 3 {
		v0, v1, v2, v3 = sipHalf(v0, v1, v2, v3, 13, 16)
		v2, v1, v0, v3 = sipHalf(v2, v1, v0, v3, 17, 21)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

// sip24 is SipHash-2-4 of a 24-byte message.
func sip24(key0, key1, a, b, c uint64) uint64 {
	v0, v1, v2, v3 := key0^sip0, key1^sip1, key0^sip2, key1^sip3
	for _, m := range [4]uint64{a, b, c, 24 << 56} {
		v3 ^= m
		for range 2 {
			v0, v1, v2, v3 = sipHalf(v0, v1, v2, v3, 13, 16)
			v2, v1, v0, v3 = sipHalf(v2, v1, v0, v3, 17, 21)
		}
		v0 ^= m
	}
	v2 ^= 0xff
	for range 4 {
		v0, v1, v2, v3 = sipHalf(v0, v1, v2, v3, 13, 16)
		v2, v1, v0, v3 = sipHalf(v2, v1, v0, v3, 17, 21)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

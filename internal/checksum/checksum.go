package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds the bytes of b to the partial sum initial and returns the result folded to 16 bits. It is 0 only if initial is 0 and
// all bytes are.
func Sum(b []byte, initial uint32) uint32 {
	return Combine(uint32(sum(b)), initial)
}

// Combine adds two partial sums and returns the result folded to 16 bits.
func Combine(a, b uint32) uint32 {
	s := uint64(a) + uint64(b)
	s = s>>32 + s&0xffffffff // at most 2^32
	s = s>>16 + s&0xffff     // at most 2^17 - 1
	return uint32(s>>16 + s&0xffff)
}

// Fold returns a partial sum as 16 bits.
func Fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// Finish turns a partial sum into the value of a checksum field.
func Finish(sum uint32) uint16 { return ^Fold(sum) }

// Valid reports whether a partial sum over everything that a checksum protects, the checksum field included, is the one of
// intact data (RFC 1071 section 1: all ones).
func Valid(sum uint32) bool { return Fold(sum) == 0xffff }

// Update16 returns what the checksum field check becomes when one aligned 16-bit word that it covers changes from before to after
// (RFC 1624 section 3, equation 3, which unlike RFC 1141's never gives the wrong zero).
func Update16(check, before, after uint16) uint16 {
	return Finish(uint32(^check) + uint32(^before) + uint32(after))
}

// Update32 is Update16 for two neighbouring words, such as an address or a sequence number.
func Update32(check uint16, before, after uint32) uint16 {
	s := uint32(^check) + ^before>>16 + ^before&0xffff + after>>16 + after&0xffff
	return Finish(s)
}

// Copy copies src to the beginning of dst, which must have room for it and not overlap it, and returns Sum(src, 0): one pass over the
// bytes does both.
func Copy(dst, src []byte) uint32 {
	dst = dst[:len(src)]
	if vectors && len(src) >= leastCopy {
		return uint32(foldSwapped(copyAVX2(&dst[0], &src[0], len(src))))
	}
	return uint32(copyWords(dst, src))
}

// SumHeader is Sum of an IPv4 header without options, the sum that is needed most often.
func SumHeader(p *[20]byte) uint32 {
	acc, c := bits.Add64(binary.LittleEndian.Uint64(p[0:8]), binary.LittleEndian.Uint64(p[8:16]), 0)
	acc, c = bits.Add64(acc, uint64(binary.LittleEndian.Uint32(p[16:20])), c)
	acc += c // cannot carry: the last number has but 32 bits
	return uint32(foldSwapped(acc))
}

// sum is Sum without an initial value.
func sum(b []byte) uint16 {
	if vectors && len(b) >= leastSum {
		return foldSwapped(sumAVX2(&b[0], len(b)))
	}
	return sumWords(b)
}

// sumWords is sum without a vector unit. The carries chain through the accumulator within a block of 64 bytes and are added back
// (end-around) once for each block, so that the compiler can use add-with-carry instructions from one line to the next.
func sumWords(b []byte) uint16 {
	var acc, c uint64
	for len(b) >= 64 {
		p := (*[64]byte)(b)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[0:8]), 0)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[8:16]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[16:24]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[24:32]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[32:40]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[40:48]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[48:56]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(p[56:64]), c)
		acc += c // cannot carry: the first addition has no carry in, so whenever one carried out acc is at most 2^64 - 2
		b = b[64:]
	}
	return finishTail(acc, b)
}

// copyWords is sumWords of src, which it copies to dst. One pass in Go takes longer than what copies and then what sums.
func copyWords(dst, src []byte) uint16 {
	copy(dst, src)
	return sumWords(src)
}

// finishTail adds the fewer than 64 bytes that are left and folds the accumulator.
func finishTail(acc uint64, b []byte) uint16 {
	var c, carries uint64
	for len(b) >= 8 {
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		carries += c
		b = b[8:]
	}
	if len(b) > 0 {
		acc, c = bits.Add64(acc, lastBytes(b), 0)
		carries += c
	}
	acc, c = bits.Add64(acc, carries, 0)
	return foldSwapped(acc + c)
}

// foldSwapped folds a sum of little-endian words to 16 bits and puts them in the right order.
func foldSwapped(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return bits.ReverseBytes16(uint16(acc))
}

// lastBytes returns one to seven bytes as a little-endian number.
func lastBytes(b []byte) uint64 {
	var v uint64
	shift := uint(0)
	if len(b) >= 4 {
		v = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
		shift = 32
	}
	if len(b) >= 2 {
		v |= uint64(binary.LittleEndian.Uint16(b)) << shift
		b = b[2:]
		shift += 16
	}
	if len(b) == 1 {
		v |= uint64(b[0]) << shift
	}
	return v
}

// Package checksum computes the Internet checksum (RFC 1071): the 16-bit ones' complement of the ones' complement sum of the
// data taken as big-endian 16-bit words, an odd last byte padded with a zero byte.
//
// The sum is associative and commutative, so a packet's checksum is put together from parts:
//
//	sum := ipv4.PseudoHeaderSum(src, dst, proto, length)   // once per connection and length
//	sum = checksum.Sum(segment, sum)                        // the checksum field is zero
//	binary.BigEndian.PutUint16(segment[16:], checksum.Finish(sum))
//
// and a receiver checks that the sum over everything, the checksum field included, is 0xffff ([Valid]).
//
// Partial sums are uint32 values that hold 16 bits after [Sum] and [Combine]. A part that is followed by another one must have an
// even number of bytes.
//
// Ones' complement addition does not depend on the byte order in which the words are loaded, except that the result is in the same
// order (RFC 1071 section 2(B)), and the carries of wider words can be folded at the end (section 2(C)). So the loop loads eight
// bytes at a time in little-endian order, adds them with carry, and swaps two bytes once at the end.
//
// On amd64 with AVX2, assembly takes over from where it is faster: it adds 32 bytes at a time, and [Copy] sums what it copies on the
// way. Every other machine has the same in Go.
package checksum

package checksum

import "golang.org/x/sys/cpu"

// vectors tells whether the processor has AVX2, and the system saves its registers.
var vectors = cpu.X86.HasAVX2

// From these lengths on the vector unit is faster, in bytes. The assembly needs no fewer than 32.
const (
	leastSum  = 160
	leastCopy = 32
)

// sumAVX2 returns the sum of n bytes from p as little-endian words of 64 bits, the carries added to it. n is at least 32.
//
//go:noescape
func sumAVX2(p *byte, n int) uint64

// copyAVX2 is sumAVX2 of n bytes from src, which it copies to dst. They must not overlap.
//
//go:noescape
func copyAVX2(dst, src *byte, n int) uint64

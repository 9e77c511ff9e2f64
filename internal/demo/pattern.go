package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// blockSize is the period of the pattern's random part, in bytes: long enough for one write, short enough for a CPU's second-level
// cache, so that making the data costs next to nothing.
const blockSize = 256 << 10

// pattern is the stream of bytes that bulk transfers carry: a block of random bytes over and over, with its number written into its
// first eight bytes. Each block is different therefore, and bytes that arrive in the wrong place change the hash.
type pattern struct {
	block [blockSize]byte
	total int64 // length of the stream in bytes
}

func newPattern(total int64) *pattern {
	p := &pattern{total: total}
	var seed [32]byte
	copy(seed[:], "xdpstack demo")
	_, _ = rand.NewChaCha8(seed).Read(p.block[:])
	return p
}

// from returns bytes of the stream from an offset on: to the end of the block, or of the stream. The slice is valid until the next
// call, and empty at the end of the stream.
func (p *pattern) from(off int64) []byte {
	within := off % blockSize
	n := min(p.total-off, blockSize-within)
	if n <= 0 {
		return nil
	}
	binary.LittleEndian.PutUint64(p.block[:], uint64(off/blockSize))
	return p.block[within : within+n]
}

// sum returns the SHA-256 of the whole stream.
func (p *pattern) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for off := int64(0); off < p.total; {
		b := p.from(off)
		h.Write(b)
		off += int64(len(b))
	}
	h.Sum(sum[:0])
	return sum
}

package tcp

import (
	"math/bits"
	"sync/atomic"
)

// FlowMarks says of which flows there may be something on this machine, a connection, a handshake or a TIME-WAIT: a counting filter in
// memory that is shared with whoever keeps other segments away, as the steering program does under a flood. A flow without a mark is
// strange for certain; one in cells/flows of the strange ones has another's mark.
//
// The counters have 8 bits, in words of 32. None ever comes near 256: their places are by a keyed hash, Keys.Hash, and there are at
// most a few flows to each. The hashes of a flood are everywhere among them, and each look would be a miss of the processor's caches. So
// each region of them, as many for each, has a counter of its marks, of 32 bits: where that is 0 there is nothing to look for, and all
// of these stay in a cache.
type FlowMarks struct {
	words, regions []uint32
	shift          int // from a counter's number to its region's
}

// NewFlowMarks takes memory, powers of two of words, all 0 or with the marks of others: for the counters and for those of the regions, of
// which there are at most as many.
func NewFlowMarks(words, regions []uint32) *FlowMarks {
	for _, n := range []int{len(words), len(regions)} {
		if n == 0 || n&(n-1) != 0 || n > len(words) {
			panic("tcp: memory for flow marks must be powers of two of words, with no more regions than marks")
		}
	}
	return &FlowMarks{words, regions, bits.TrailingZeros(uint(4 * len(words) / len(regions)))}
}

// Add marks a flow with this hash, once more if it was marked before.
func (m *FlowMarks) Add(hash uint32) {
	atomic.AddUint32(m.word(hash), 1<<(hash&3*8))
	atomic.AddUint32(m.region(hash), 1)
}

// Remove undoes an Add.
func (m *FlowMarks) Remove(hash uint32) {
	atomic.AddUint32(m.region(hash), ^uint32(0))
	atomic.AddUint32(m.word(hash), ^uint32(0)<<(hash&3*8))
}

// Has reports whether a flow with this hash is marked, or one that shares its place.
func (m *FlowMarks) Has(hash uint32) bool {
	return atomic.LoadUint32(m.word(hash))>>(hash&3*8)&0xff != 0
}

func (m *FlowMarks) word(hash uint32) *uint32 { return &m.words[int(hash>>2)&(len(m.words)-1)] }

func (m *FlowMarks) region(hash uint32) *uint32 {
	return &m.regions[int(hash)>>m.shift&(len(m.regions)-1)]
}

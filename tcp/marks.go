package tcp

import "sync/atomic"

// FlowMarks says of which flows there may be something on this machine, a connection, a handshake or a TIME-WAIT: a counting filter in
// memory that is shared with whoever keeps other segments away, as the steering program does under a flood. A flow without a mark is
// strange for certain; one in cells/flows of the strange ones has another's mark.
//
// The counters have 8 bits, in words of 32. None ever comes near 256: their places are by a keyed hash, Keys.Hash, and there are at
// most a few flows to each.
type FlowMarks struct{ words []uint32 }

// NewFlowMarks takes memory, a power of two of words, all 0 or with the marks of others.
func NewFlowMarks(words []uint32) *FlowMarks {
	if n := len(words); n == 0 || n&(n-1) != 0 {
		panic("tcp: memory for flow marks must be a power of two of words")
	}
	return &FlowMarks{words}
}

// Add marks a flow with this hash, once more if it was marked before.
func (m *FlowMarks) Add(hash uint32) { atomic.AddUint32(m.word(hash), 1<<(hash&3*8)) }

// Remove undoes an Add.
func (m *FlowMarks) Remove(hash uint32) { atomic.AddUint32(m.word(hash), ^uint32(0)<<(hash&3*8)) }

// Has reports whether a flow with this hash is marked, or one that shares its place.
func (m *FlowMarks) Has(hash uint32) bool {
	return atomic.LoadUint32(m.word(hash))>>(hash&3*8)&0xff != 0
}

func (m *FlowMarks) word(hash uint32) *uint32 { return &m.words[int(hash>>2)&(len(m.words)-1)] }

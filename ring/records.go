package ring

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Records is a bounded queue of byte strings of any length from one goroutine to one other. It neither blocks nor allocates: Append
// gives nothing when the queue is full, and the sender decides what to do.
//
// The strings lie one behind the other in one piece of memory, each whole: one that would go over the end begins at the start, and a mark
// says so. Positions count bytes and run freely.
//
//	          head                      tail        next
//	           │                         │           │
//	───────────▼─────────────────────────▼───────────▼────────────
//	   empty   │  published, readable    │ appended  │  empty        offset = position & (size-1)
//	───────────┴─────────────────────────┴───────────┴────────────
type Records struct {
	memory []byte
	mask   uint64
	_      [64 - 4*8]byte

	// The sender's. What it reads of the receiver's is kept, so that the line is fetched once in a round.
	next   uint64 // behind what was appended
	headAt uint64 // head as last seen
	tail   atomic.Uint64
	_      [64 - 3*8]byte

	// The receiver's.
	read   uint64 // behind what Next returned
	tailAt uint64 // tail as last seen
	head   atomic.Uint64
	_      [64 - 3*8]byte
}

const (
	recordHeader = 8          // bytes in front of each record, which say how long it is; records begin at multiples of it
	recordsEnd   = ^uint64(0) // in place of a length: the next record is at the start of the memory
)

// NewRecords makes a queue that holds size bytes, a power of two, with 8 to 15 for each record besides its own. A record of up to half of
// that finds room when the others are gone; a larger one may not, because it lies in one piece.
func NewRecords(size int) (*Records, error) {
	if size < 64 || size&(size-1) != 0 {
		return nil, fmt.Errorf("ring: records in %d bytes, want a power of two from 64", size)
	}
	return &Records{memory: make([]byte, size), mask: uint64(size - 1)}, nil
}

// Append makes room for a record of n bytes behind the others and returns it, to be filled before Publish. It is nil if there is no
// room.
func (r *Records) Append(n int) []byte {
	size := uint64(len(r.memory))
	need := recordHeader + (uint64(n)+recordHeader-1)&^(recordHeader-1)
	if n < 0 || need > size {
		return nil
	}
	at := r.next & r.mask
	skip := uint64(0)
	if at+need > size {
		skip = size - at
	}
	if r.next+skip+need-r.headAt > size {
		r.headAt = r.head.Load()
		if r.next+skip+need-r.headAt > size {
			return nil
		}
	}
	if skip > 0 {
		binary.NativeEndian.PutUint64(r.memory[at:], recordsEnd)
		r.next += skip
		at = 0
	}
	binary.NativeEndian.PutUint64(r.memory[at:], uint64(n))
	r.next += need
	at += recordHeader
	return r.memory[at : at+uint64(n) : at+uint64(n)]
}

// Publish hands all appended records to the receiver, together.
func (r *Records) Publish() { r.tail.Store(r.next) }

// Next returns the first published record that it has not returned yet, to be read before Release; nil if there is none.
func (r *Records) Next() []byte {
	for {
		if r.read == r.tailAt {
			if r.tailAt = r.tail.Load(); r.read == r.tailAt {
				return nil
			}
		}
		at := r.read & r.mask
		n := binary.NativeEndian.Uint64(r.memory[at:])
		if n == recordsEnd {
			r.read += uint64(len(r.memory)) - at
			continue
		}
		r.read += recordHeader + (n+recordHeader-1)&^(recordHeader-1)
		at += recordHeader
		return r.memory[at : at+n : at+n]
	}
}

// Release gives the memory of all records that Next has returned back to the sender.
func (r *Records) Release() { r.head.Store(r.read) }

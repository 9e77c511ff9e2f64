// Package slab is memory for very many records of one type, outside the heap of the garbage collector where that is possible: it has
// nothing to scan, and huge pages hold what a million connections jump about in.
//
// # What the garbage collector does not see
//
// A record may have pointers, but they keep nothing alive. Whoever puts one there makes sure that what it points to is reachable in
// another way for as long as the record is in use, and that it is cleared before: the collector checks pointers that are overwritten.
//
// The memory goes back to the system when the Memory, or the Array, is not reachable any more. Whoever keeps a pointer into it keeps
// that, too.
package slab

import (
	"math/bits"
	"unsafe"
)

// Memory is a growing number of records, numbered from 0. They are zero at first and never move. The zero Memory has none.
type Memory[T any] struct {
	blocks []unsafe.Pointer
	maps   []*mapping // what keeps the blocks mapped, nil for those on the heap
	shift  uint       // log2 of the records in a block
}

// At returns record i.
func (m *Memory[T]) At(i uint32) *T {
	var zero T
	block := m.blocks[i>>m.shift]
	return (*T)(unsafe.Add(block, uintptr(i&(1<<m.shift-1))*unsafe.Sizeof(zero)))
}

// Len returns how many records there are.
func (m *Memory[T]) Len() int { return len(m.blocks) << m.shift }

// Grow adds a block of records. It takes the same time however many there are.
func (m *Memory[T]) Grow() {
	if m.shift == 0 {
		var zero T
		m.shift = uint(bits.Len(uint(blockSize / unsafe.Sizeof(zero))))
	}
	s, owner := newSlice[T](1<<m.shift, len(m.blocks) == 0)
	m.blocks, m.maps = append(m.blocks, unsafe.Pointer(&s[0])), append(m.maps, owner)
}

// Array is a number of records that does not change, zero at first. Its slice must not be used when the Array is gone.
type Array[T any] struct {
	Slice []T
	owner *mapping
}

// NewArray returns an Array of n records. A large one is not touched, so that it takes no longer than a small one.
func NewArray[T any](n int) Array[T] {
	s, owner := newSlice[T](n, false)
	return Array[T]{s, owner}
}

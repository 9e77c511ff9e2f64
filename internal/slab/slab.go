// Package slab is memory for very many records of one type, outside the heap of the garbage collector where that is possible: it has
// nothing to scan, and huge pages hold what a million connections jump about in.
//
// # What the garbage collector does not see
//
// A record may have pointers, but they keep nothing alive. Whoever puts one there makes sure that what it points to is reachable in
// another way for as long as the record is in use, and that it is cleared before: the collector checks pointers that are overwritten.
//
// The memory goes back to the system when the Memory is not reachable any more. Whoever keeps a pointer to a record keeps one to its
// Memory, too.
package slab

// Memory is a growing number of records, numbered from 0. They are zero at first and never move. The zero Memory has none.
type Memory[T any] struct {
	blocks []*[Block]T
	maps   []*mapping // what keeps the blocks mapped, nil for those on the heap
}

// At returns record i.
func (m *Memory[T]) At(i uint32) *T { return &m.blocks[i/Block][i%Block] }

// Len returns how many records there are.
func (m *Memory[T]) Len() int { return len(m.blocks) * Block }

// Grow adds Block records.
func (m *Memory[T]) Grow() {
	b, owner := newBlock[T](len(m.blocks) == 0)
	m.blocks, m.maps = append(m.blocks, b), append(m.maps, owner)
}

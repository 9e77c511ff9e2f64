package tcp

import "unsafe"

// records is memory for records R, which have no pointers: those that are given back are used again, none ever moves, and there is
// nothing for the garbage collector to scan. It grows with the number of records that are in use at the same time.
type records[R any] struct {
	blocks []*[recordBlock]R
	free   []uint32
	n      uint32 // records that were in use at some time
}

const recordBlock = 64

// at returns a record.
func (s *records[R]) at(i uint32) *R { return &s.blocks[i/recordBlock][i%recordBlock] }

// alloc returns the number of a record that is not in use. What is in it is left from its last use.
func (s *records[R]) alloc() uint32 {
	if n := len(s.free); n != 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if s.n%recordBlock == 0 {
		s.blocks = append(s.blocks, new([recordBlock]R))
	}
	s.n++
	return s.n - 1
}

// release gives a record back.
func (s *records[R]) release(i uint32) { s.free = append(s.free, i) }

// used returns how many bytes the records that are in use take.
func (s *records[R]) used() uint64 {
	var zero R
	return uint64(int(s.n)-len(s.free)) * uint64(unsafe.Sizeof(zero))
}

// RareBytes returns how many bytes the records take that only some connections have.
func (k *Core) RareBytes() uint64 { return k.rares.used() + k.histories.used() + k.models.used() }

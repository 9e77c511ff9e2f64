package ring

import (
	"fmt"
	"sync/atomic"
)

// Mailbox is a bounded queue from any number of goroutines to one. It neither blocks nor allocates: Push reports false when the
// mailbox is full, and the sender decides what to do.
//
// Each slot has a turn number that tells whose it is: senders may fill slot i in round r when its turn is 2r, the receiver may
// empty it when it is 2r+1. Senders agree on a slot by a compare-and-swap of the tail, and hand it over by a store of its turn.
type Mailbox[T any] struct {
	slots []mailSlot[T]
	mask  uint64
	shift uint
	_     [64 - 5*8]byte
	tail  atomic.Uint64 // next position to fill, shared by the senders
	_     [56]byte
	head  uint64 // next position to empty, the receiver's own
}

type mailSlot[T any] struct {
	turn  atomic.Uint64
	value T
}

// NewMailbox makes a mailbox of size values, a power of two.
func NewMailbox[T any](size int) (*Mailbox[T], error) {
	if size <= 0 || size&(size-1) != 0 {
		return nil, fmt.Errorf("ring: mailbox of %d slots, want a power of two", size)
	}
	m := &Mailbox[T]{slots: make([]mailSlot[T], size), mask: uint64(size - 1)}
	for s := size; s > 1; s >>= 1 {
		m.shift++
	}
	return m, nil
}

// Push puts v at the end. It reports false, and takes nothing, if the mailbox is full. Any goroutine may call it.
func (m *Mailbox[T]) Push(v T) bool {
	for {
		pos := m.tail.Load()
		s := &m.slots[pos&m.mask]
		switch turn, want := s.turn.Load(), 2*(pos>>m.shift); {
		case turn == want:
			if m.tail.CompareAndSwap(pos, pos+1) {
				s.value = v
				s.turn.Store(want + 1)
				return true
			}
		case turn < want:
			return false // still filled from the round before
		}
	}
}

// Pop takes the first value. Only the receiving goroutine may call it.
func (m *Mailbox[T]) Pop() (v T, ok bool) {
	s := &m.slots[m.head&m.mask]
	want := 2*(m.head>>m.shift) + 1
	if s.turn.Load() != want {
		return v, false
	}
	v = s.value
	var zero T
	s.value = zero // what it refers to is not kept alive
	s.turn.Store(want + 1)
	m.head++
	return v, true
}

// Empty reports whether there is nothing to pop. Only the receiving goroutine may call it.
func (m *Mailbox[T]) Empty() bool {
	return m.slots[m.head&m.mask].turn.Load() != 2*(m.head>>m.shift)+1
}

package slab

import (
	"testing"
	"unsafe"
)

type record struct {
	a [7]uint64
	b uint32
}

// TestMemory has records be zero at first, keep what is written to them, and stay where they are.
func TestMemory(t *testing.T) {
	var m Memory[record]
	if m.Len() != 0 {
		t.Fatalf("%d records in an empty memory", m.Len())
	}
	var at []*record
	for range 3 {
		m.Grow()
		for i := len(at); i < m.Len(); i++ {
			r := m.At(uint32(i))
			if *r != (record{}) {
				t.Fatalf("record %d is %v at first", i, *r)
			}
			r.b = uint32(i)
			at = append(at, r)
		}
	}
	if m.Len() != 3*Block {
		t.Fatalf("%d records, want %d", m.Len(), 3*Block)
	}
	seen := make(map[*record]bool)
	for i, r := range at {
		if m.At(uint32(i)) != r || r.b != uint32(i) || seen[r] {
			t.Fatalf("record %d has moved, or is another's", i)
		}
		if uintptr(unsafe.Pointer(r))%8 != 0 {
			t.Fatalf("record %d is at %p", i, r)
		}
		seen[r] = true
	}
}

package slab

import (
	"runtime"
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
	for n := range 3 {
		m.Grow()
		if m.Len() <= len(at) {
			t.Fatalf("%d records after growing %d times", m.Len(), n+1)
		}
		for i := len(at); i < m.Len(); i++ {
			r := m.At(uint32(i))
			if *r != (record{}) {
				t.Fatalf("record %d is %v at first", i, *r)
			}
			r.b = uint32(i)
			at = append(at, r)
		}
		runtime.GC()
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

// TestArray has arrays of all sizes be zero and keep what is written to them, in memory that is used again.
func TestArray(t *testing.T) {
	for range 3 {
		for _, n := range []int{1, 100, 100_000, 1_000_000} {
			a := NewArray[uint64](n)
			if len(a.Slice) != n {
				t.Fatalf("%d records, want %d", len(a.Slice), n)
			}
			for i, v := range a.Slice {
				if v != 0 {
					t.Fatalf("record %d of %d is %d at first", i, n, v)
				}
				a.Slice[i] = uint64(i)
			}
			runtime.GC()
			for i, v := range a.Slice {
				if v != uint64(i) {
					t.Fatalf("record %d of %d is %d", i, n, v)
				}
			}
			runtime.KeepAlive(&a)
		}
		runtime.GC()
	}
}

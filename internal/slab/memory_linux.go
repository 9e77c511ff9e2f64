//go:build linux && !race

package slab

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// blockSize is what a block of a Memory has at least, in bytes.
const blockSize = 4 << 20

// hugePage is the size of a huge page in bytes. Where they are larger the advice is in vain.
const hugePage = 2 << 20

// leastMapping is how many bytes are not worth a mapping.
const leastMapping = 1 << 18

// mapping owns memory that is mapped for as long as it is reachable.
type mapping struct{ bytes []byte }

// newSlice maps memory for n records, or takes it from the heap if they are few, or the system refuses. Only pages that are touched
// occupy memory. It is aligned to huge pages and better off in them; but if the beginning may be all that is used, that is not.
func newSlice[T any](n int, small bool) ([]T, *mapping) {
	var zero T
	size := n * int(unsafe.Sizeof(zero))
	if size < leastMapping {
		return make([]T, n), nil
	}
	b, err := unix.Mmap(-1, 0, size+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return make([]T, n), nil
	}
	start := int(-uintptr(unsafe.Pointer(&b[0])) & (hugePage - 1))
	advised := b[start : start+size]
	if small {
		advised = advised[min(hugePage, size):]
	}
	if len(advised) >= hugePage {
		_ = unix.Madvise(advised, unix.MADV_HUGEPAGE) // a system without huge pages refuses, and works all the same
	}
	m := &mapping{b}
	runtime.AddCleanup(m, func(b []byte) { _ = unix.Munmap(b) }, b)
	return unsafe.Slice((*T)(unsafe.Pointer(&b[start])), n), m
}

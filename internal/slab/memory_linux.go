//go:build linux && !race

package slab

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Block is how many records are added at a time.
const Block = 1 << 14

// hugePage is the size of a huge page in bytes, where it is larger elsewhere the advice is in vain.
const hugePage = 2 << 20

// mapping owns memory that is mapped for as long as it is reachable.
type mapping struct{ bytes []byte }

// newBlock maps memory for a block, or takes it from the heap if that is refused. Only the pages that are touched occupy memory. It is
// aligned to huge pages, and all of it but the first one of the first block is better off in them: a slab of a few records needs none.
func newBlock[T any](first bool) (*[Block]T, *mapping) {
	size := int(unsafe.Sizeof([Block]T{}))
	b, err := unix.Mmap(-1, 0, size+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return new([Block]T), nil
	}
	start := int(-uintptr(unsafe.Pointer(&b[0])) & (hugePage - 1))
	advised := b[start : start+size]
	if first {
		advised = advised[min(hugePage, size):]
	}
	if len(advised) > 0 {
		_ = unix.Madvise(advised, unix.MADV_HUGEPAGE) // a system without huge pages refuses, and works all the same
	}
	m := &mapping{b}
	runtime.AddCleanup(m, func(b []byte) { _ = unix.Munmap(b) }, b)
	return (*[Block]T)(unsafe.Pointer(&b[start])), m
}

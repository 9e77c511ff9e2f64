//go:build !linux || race

package slab

// blockSize is what a block of a Memory has at least, in bytes.
const blockSize = 64 << 10

type mapping struct{}

// newSlice takes memory for n records from the heap. The race detector watches nothing else.
func newSlice[T any](n int, _ bool) ([]T, *mapping) { return make([]T, n), nil }

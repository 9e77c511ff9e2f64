// Package prefetch asks the processor for cache lines ahead of their use. Misses that are asked for together are served side by side,
// where a walk from one to the next would wait for each.
package prefetch

// LineSize is the size of a cache line in bytes, where it is not larger.
const LineSize = 64

// Lines asks for the first n cache lines of each of the objects, that at the address itself included. Addresses need not be valid:
// nothing is read.
func Lines(addresses []uintptr, n int) {
	if len(addresses) > 0 && n > 0 {
		lines(&addresses[0], len(addresses), n)
	}
}

package prefetch

import (
	"math/rand/v2"
	"testing"
	"unsafe"
)

// TestLines asks for lines that are there and for some that are not: nothing happens that can be seen.
func TestLines(t *testing.T) {
	b := make([]byte, 4096)
	for i := range b {
		b[i] = byte(i)
	}
	at := uintptr(unsafe.Pointer(&b[0]))
	Lines(nil, 1)
	Lines([]uintptr{at}, 0)
	Lines([]uintptr{at, at + 100, at + 4095, 0, 1, ^uintptr(0)}, 1)
	Lines([]uintptr{at, 0, ^uintptr(0) - 100}, 8)
	for i := range b {
		if b[i] != byte(i) {
			t.Fatalf("byte %d is %d", i, b[i])
		}
	}
	if n := testing.AllocsPerRun(10, func() { Lines([]uintptr{at, at}, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkChase reads 64 objects of a large array, each of which says where the next is, with and without asking for all of them first.
func BenchmarkChase(b *testing.B) {
	const size = 1 << 21
	objects := make([][16]uint32, size) // 128 MiB
	for _, ask := range []bool{false, true} {
		name := "one by one"
		if ask {
			name = "asked for"
		}
		b.Run(name, func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(1, 2))
			at := make([]uintptr, 64)
			index := make([]uint32, 64)
			sum := uint32(0)
			for b.Loop() {
				for i := range index {
					index[i] = rnd.Uint32N(size)
					at[i] = uintptr(unsafe.Pointer(&objects[index[i]]))
				}
				if ask {
					Lines(at, 1)
				}
				for _, i := range index {
					sum += objects[(i+sum)%size][0] // depends on the one before
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/object")
			_ = sum
		})
	}
}

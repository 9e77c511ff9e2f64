package checksum

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// The ways to compute a sum, and to compute it while copying: the one for this processor, and that for any.
var (
	sums = map[string]func([]byte) uint32{
		"Sum":      func(b []byte) uint32 { return Sum(b, 0) },
		"portable": func(b []byte) uint32 { return uint32(sumWords(b)) },
	}
	copies = map[string]func(dst, src []byte) uint32{
		"Copy":     Copy,
		"portable": func(dst, src []byte) uint32 { return uint32(copyWords(dst[:len(src)], src)) },
	}
)

// reference is RFC 1071 section 4.1 word for word.
func reference(b []byte, initial uint32) uint16 {
	s := uint64(initial)
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	for s>>16 != 0 {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumOfTheRFC(t *testing.T) {
	// The example of RFC 1071 section 3.
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Sum(b, 0); got != 0xddf2 {
		t.Errorf("Sum = %#x, want 0xddf2", got)
	}
	if got := Finish(Sum(b, 0)); got != 0x220d {
		t.Errorf("Finish = %#x, want 0x220d", got)
	}
}

// forFills calls f with data that carries often, now and then, and never.
func forFills(n int, f func(fill string, b []byte)) {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	fills := map[string]func(int) byte{
		"random": func(int) byte { return byte(r.Uint32()) },
		"ones":   func(int) byte { return 0xff },
		"zeros":  func(int) byte { return 0 },
		"sparse": func(i int) byte { return byte(i % 97 / 96) },
	}
	for name, fill := range fills {
		for i := range b {
			b[i] = fill(i)
		}
		f(name, b)
	}
}

func TestSumEveryLengthAndOffset(t *testing.T) {
	forFills(700, func(fill string, buf []byte) {
		for off := range 9 {
			for n := 0; off+n <= 600; n++ {
				b := buf[off : off+n]
				want := reference(b, 0)
				for name, sum := range sums {
					if got := sum(b); got != uint32(want) {
						t.Fatalf("%s: %s(%d bytes at %d) = %#x, want %#x", fill, name, n, off, got, want)
					}
				}
				for _, initial := range []uint32{1, 0xffff, 0x12345678, 0xffffffff} {
					if got, want := Sum(b, initial), reference(b, initial); got != uint32(want) {
						t.Fatalf("%s: Sum(%d bytes at %d, %#x) = %#x, want %#x", fill, n, off, initial, got, want)
					}
				}
			}
		}
	})
}

func TestSumOfMuch(t *testing.T) {
	forFills(1<<16+5, func(fill string, b []byte) {
		for n := len(b) - 40; n <= len(b); n++ {
			want := reference(b[:n], 0)
			for name, sum := range sums {
				if got := sum(b[:n]); got != uint32(want) {
					t.Fatalf("%s: %s(%d bytes) = %#x, want %#x", fill, name, n, got, want)
				}
			}
		}
	})
}

func TestCopyEveryLengthAndOffset(t *testing.T) {
	dst := make([]byte, 400)
	forFills(400, func(fill string, buf []byte) {
		for off := range 9 {
			for n := 0; off+n <= 300; n++ {
				src, to := buf[off:off+n], off*5%7
				for name, copyTo := range copies {
					for i := range dst {
						dst[i] = 0xa5
					}
					got, want := copyTo(dst[to:], src), reference(src, 0)
					if got != uint32(want) || !bytes.Equal(dst[to:to+n], src) {
						t.Fatalf("%s: %s(%d bytes from %d to %d) = %#x, want %#x and the same bytes", fill, name, n, off, to, got, want)
					}
					for i, v := range dst {
						if (i < to || i >= to+n) && v != 0xa5 {
							t.Fatalf("%s: %s(%d bytes from %d to %d) wrote to byte %d", fill, name, n, off, to, i)
						}
					}
				}
			}
		}
	})
}

func TestCopyWithoutRoom(t *testing.T) {
	for _, n := range []int{1, 31, 64, 1000} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a copy of %d bytes to room for one less does not panic", n)
				}
			}()
			Copy(make([]byte, n-1), make([]byte, n))
		}()
	}
}

func TestSumHeader(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 1000 {
		var p [20]byte
		for i := range p {
			if p[i] = byte(r.Uint32()); r.IntN(4) == 0 {
				p[i] = 0xff
			}
		}
		if got, want := SumHeader(&p), reference(p[:], 0); got != uint32(want) {
			t.Fatalf("SumHeader(%x) = %#x, want %#x", p, got, want)
		}
	}
	ones := [20]byte(bytes.Repeat([]byte{0xff}, 20))
	if got := SumHeader(&ones); got != 0xffff {
		t.Errorf("SumHeader of ones = %#x", got)
	}
}

func TestPartsCombine(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, 1501)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	want := Sum(b, 0)
	for cut := 0; cut < len(b); cut += 2 {
		if got := Sum(b[cut:], Sum(b[:cut], 0)); got != want {
			t.Fatalf("chained at %d: %#x, want %#x", cut, got, want)
		}
		if got := Combine(Sum(b[:cut], 0), Sum(b[cut:], 0)); got != want {
			t.Fatalf("combined at %d: %#x, want %#x", cut, got, want)
		}
	}
	if got := Combine(0xffffffff, 0xffffffff); got != 0xffff {
		t.Errorf("Combine of the greatest sums = %#x", got)
	}
}

func TestValid(t *testing.T) {
	b := []byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}
	c := Finish(Sum(b, 0))
	if c != 0xb861 {
		t.Fatalf("checksum %#x, want 0xb861", c)
	}
	binary.BigEndian.PutUint16(b[10:], c)
	if !Valid(Sum(b, 0)) {
		t.Error("intact data is not valid")
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if Valid(Sum(b, 0)) {
				t.Errorf("flipped bit %d of byte %d: valid", bit, i)
			}
			b[i] ^= 1 << bit
		}
	}
}

func TestUpdate(t *testing.T) {
	// The example of RFC 1624 section 4: the sum must become 0x0000, where RFC 1141's equation gave 0xffff.
	if got := Update16(0xdd2f, 0x5555, 0x3285); got != 0 {
		t.Errorf("Update16 = %#x, want 0", got)
	}
	r := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, 40)
	for range 20000 {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0] |= 1 // an all-zero packet is the one case in which the two zeros differ, and it does not occur
		check := Finish(Sum(b, 0))
		at := 2 + 2*r.IntN(17)
		if r.IntN(2) == 0 {
			before := binary.BigEndian.Uint16(b[at:])
			after := uint16(r.Uint32())
			binary.BigEndian.PutUint16(b[at:], after)
			check = Update16(check, before, after)
		} else {
			before := binary.BigEndian.Uint32(b[at:])
			after := r.Uint32()
			binary.BigEndian.PutUint32(b[at:], after)
			check = Update32(check, before, after)
		}
		if want := Finish(Sum(b, 0)); check != want {
			t.Fatalf("updated checksum %#x, recomputed %#x", check, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	b := make([]byte, 1500)
	if n := testing.AllocsPerRun(100, func() { sink = Sum(b, sink) }); n != 0 {
		t.Errorf("Sum allocates %v times", n)
	}
	dst := make([]byte, 1500)
	if n := testing.AllocsPerRun(100, func() { sink = Copy(dst, b) }); n != 0 {
		t.Errorf("Copy allocates %v times", n)
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0xff}, uint32(0xffffffff))
	f.Add(make([]byte, 65), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, initial uint32) {
		if got, want := Sum(b, initial), reference(b, initial); got != uint32(want) {
			t.Fatalf("Sum = %#x, want %#x", got, want)
		}
		want := uint32(reference(b, 0))
		for name, sum := range sums {
			if got := sum(b); got != want {
				t.Fatalf("%s = %#x, want %#x", name, got, want)
			}
		}
		for name, copyTo := range copies {
			dst := make([]byte, len(b)+1)
			if got := copyTo(dst, b); got != want || !bytes.Equal(dst[:len(b)], b) || dst[len(b)] != 0 {
				t.Fatalf("copying, %s = %#x, want %#x and the same bytes", name, got, want)
			}
		}
	})
}

var sink uint32

func BenchmarkSum(b *testing.B) {
	benchmark(b, func(_, buf []byte) { sink = Sum(buf, sink) })
}

func BenchmarkSumPortable(b *testing.B) {
	benchmark(b, func(_, buf []byte) { sink = uint32(sumWords(buf)) })
}

func BenchmarkCopy(b *testing.B) {
	benchmark(b, func(dst, src []byte) { sink = Copy(dst, src) })
}

func BenchmarkCopyPortable(b *testing.B) {
	benchmark(b, func(dst, src []byte) { sink = uint32(copyWords(dst, src)) })
}

func BenchmarkCopyThenSum(b *testing.B) {
	benchmark(b, func(dst, src []byte) {
		copy(dst, src)
		sink = Sum(dst, 0)
	})
}

func benchmark(b *testing.B, f func(dst, src []byte)) {
	for _, n := range []int{20, 32, 48, 64, 96, 128, 256, 1460, 9000, 65535} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dst, src := make([]byte, n), make([]byte, n)
			for i := range src {
				src[i] = byte(i)
			}
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				f(dst, src)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
	}
}

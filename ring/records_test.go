package ring

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
)

func TestRecordsSize(t *testing.T) {
	for _, size := range []int{-1, 0, 32, 65, 100} {
		if _, err := NewRecords(size); err == nil {
			t.Errorf("a queue of %d bytes was made", size)
		}
	}
}

// TestRecords appends and reads records of random lengths in bursts, so that every offset comes to be the one at which the memory ends,
// and holds the queue beside a plain one.
func TestRecords(t *testing.T) {
	const seed, size = 1, 512
	random := rand.New(rand.NewPCG(seed, 0))
	r, err := NewRecords(size)
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	appended, held := 0, 0
	refused := 0
	for range 20_000 {
		for range random.IntN(6) {
			n := random.IntN(100)
			b := r.Append(n)
			if b == nil {
				if held+n+recordHeader < size/2 {
					t.Fatalf("seed %d: no room for %d bytes beside %d", seed, n, held)
				}
				refused++
				break
			}
			if len(b) != n || cap(b) != n {
				t.Fatalf("seed %d: room for %d bytes, capacity %d, want %d", seed, len(b), cap(b), n)
			}
			for i := range b {
				b[i] = byte(appended + i)
			}
			want = append(want, bytes.Clone(b))
			held += n + 2*recordHeader
			appended++
		}
		if random.IntN(2) == 0 {
			r.Publish()
			for range random.IntN(8) {
				got := r.Next()
				if got == nil {
					if len(want) > 0 {
						t.Fatalf("seed %d: nothing to read, want %d records", seed, len(want))
					}
					break
				}
				if !bytes.Equal(got, want[0]) {
					t.Fatalf("seed %d: read %x, want %x", seed, got, want[0])
				}
				held -= len(got) + 2*recordHeader
				want = want[1:]
			}
			r.Release()
		}
	}
	if refused == 0 || appended < 10_000 {
		t.Errorf("%d records passed, %d were refused: the test does not reach what it is for", appended, refused)
	}
}

// TestRecordsUnpublished shows that a record is not seen before Publish, and its memory not used again before Release.
func TestRecordsUnpublished(t *testing.T) {
	r, err := NewRecords(64)
	if err != nil {
		t.Fatal(err)
	}
	copy(r.Append(24), "first")
	if r.Next() != nil {
		t.Error("a record was read before it was published")
	}
	r.Publish()
	first := r.Next()
	if r.Append(56) != nil || r.Append(-1) != nil || r.Append(1<<20) != nil {
		t.Error("a record found room that there is not")
	}
	copy(r.Append(24), "second")
	r.Publish()
	if !bytes.HasPrefix(first, []byte("first")) || r.Append(0) != nil {
		t.Errorf("what was read became %q before it was released", first)
	}
	r.Release()
	if r.Append(24) == nil {
		t.Error("no room where a record was released")
	}
}

// TestRecordsBetweenGoroutines has two goroutines pass records, which the race detector watches.
func TestRecordsBetweenGoroutines(t *testing.T) {
	const records = 100_000
	r, err := NewRecords(1 << 12)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := 0; i < records; {
			b := r.Append(i % 200)
			if b == nil {
				r.Publish()
				runtime.Gosched()
				continue
			}
			for j := range b {
				b[j] = byte(i)
			}
			if i++; i%7 == 0 || i == records {
				r.Publish()
			}
		}
	}()
	for i := 0; i < records; {
		b := r.Next()
		if b == nil {
			r.Release()
			runtime.Gosched()
			continue
		}
		if len(b) != i%200 {
			t.Fatalf("record %d has %d bytes, want %d", i, len(b), i%200)
		}
		for _, v := range b {
			if v != byte(i) {
				t.Fatalf("record %d has a byte %d", i, v)
			}
		}
		i++
	}
}

func TestRecordsAllocateNothing(t *testing.T) {
	r, err := NewRecords(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		for range 10 {
			clear(r.Append(1460))
		}
		r.Publish()
		for r.Next() != nil {
		}
		r.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

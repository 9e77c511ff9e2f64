package ring

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
)

// views makes a ring whose indices begin at start, and both views of it.
func views(t *testing.T, size int, start uint32) (Memory[uint64], *Producer[uint64], *Consumer[uint64]) {
	t.Helper()
	m := NewMemory[uint64](size)
	*m.Producer, *m.Consumer = start, start
	p, err := NewProducer(m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConsumer(m)
	if err != nil {
		t.Fatal(err)
	}
	return m, p, c
}

// put reserves, fills and submits up to n slots with consecutive values.
func put(p *Producer[uint64], from uint64, n int) int {
	first, got := p.Reserve(n)
	for i := range uint32(got) {
		*p.Slot(first + i) = from + uint64(i)
	}
	p.Submit()
	return got
}

// take reads and releases up to n slots.
func take(c *Consumer[uint64], n int) (values []uint64) {
	first, got := c.Peek(n)
	for i := range uint32(got) {
		values = append(values, *c.Slot(first + i))
	}
	c.Release()
	return values
}

func TestNothingIsVisibleBeforeSubmit(t *testing.T) {
	_, p, c := views(t, 4, 0)
	first, got := p.Reserve(3)
	if got != 3 {
		t.Fatalf("reserved %d", got)
	}
	*p.Slot(first) = 7
	if !c.Empty() || len(take(c, 4)) != 0 {
		t.Error("the consumer sees slots that were not submitted")
	}
	p.Submit()
	if c.Empty() || p.Pending() != 3 {
		t.Errorf("empty: %v, pending: %d after Submit", c.Empty(), p.Pending())
	}
	if v := take(c, 1); len(v) != 1 || v[0] != 7 {
		t.Errorf("took %v", v)
	}
}

func TestSlotsAreNotReusedBeforeRelease(t *testing.T) {
	_, p, c := views(t, 4, 0)
	if put(p, 0, 9) != 4 || p.Free(1) != 0 {
		t.Fatal("a ring of 4 takes other than 4")
	}
	if _, got := c.Peek(2); got != 2 {
		t.Fatalf("peeked %d", got)
	}
	if p.Free(1) != 0 {
		t.Error("peeked slots are free before their release")
	}
	c.Release()
	if p.Free(4) != 2 || put(p, 4, 4) != 2 {
		t.Error("released slots are not free")
	}
}

func TestUnreserve(t *testing.T) {
	_, p, c := views(t, 4, 0)
	first, _ := p.Reserve(4)
	*p.Slot(first) = 1
	p.Unreserve(3)
	p.Submit()
	if v := take(c, 4); len(v) != 1 || v[0] != 1 {
		t.Errorf("took %v", v)
	}
	if p.Free(4) != 4 {
		t.Errorf("%d free", p.Free(4))
	}
}

func TestReservationSubmittedInParts(t *testing.T) {
	_, p, c := views(t, 8, 0)
	first, _ := p.Reserve(5)
	*p.Slot(first) = 1
	second, got := p.Reserve(5)
	if got != 3 || second != first+5 {
		t.Fatalf("second reservation: %d at %d", got, second)
	}
	p.Submit()
	if _, n := c.Peek(100); n != 8 {
		t.Errorf("%d visible", n)
	}
}

// TestIndicesWrap moves many values through rings whose indices pass 2^32, in batches of random sizes.
func TestIndicesWrap(t *testing.T) {
	for _, size := range []int{1, 2, 8, 64} {
		for _, start := range []uint32{0, 1<<32 - 1, 1<<32 - 50, 1<<31 - 3} {
			_, p, c := views(t, size, start)
			r := rand.New(rand.NewPCG(uint64(size), uint64(start)))
			var in, out uint64
			for out < 1000 {
				in += uint64(put(p, in, r.IntN(size+2)))
				if have := in - out; have > uint64(size) || uint64(p.Pending()) != have {
					t.Fatalf("size %d, start %d: %d in the ring, pending says %d", size, start, have, p.Pending())
				}
				for _, v := range take(c, r.IntN(size+2)) {
					if v != out {
						t.Fatalf("size %d, start %d: took %d, want %d", size, start, v, out)
					}
					out++
				}
			}
		}
	}
}

// TestHostileIndices lets the other side's index be anything: slots may then be lost or stale, but a view never hands out more
// than the ring has.
func TestHostileIndices(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	m, p, c := views(t, 8, 1<<32-20)
	for i := range 100_000 {
		hostile := r.Uint32()
		if r.IntN(2) == 0 {
			hostile = *m.Producer + uint32(r.IntN(40)) - 20
		}
		if i%2 == 0 {
			atomic.StoreUint32(m.Consumer, hostile)
			n := r.IntN(20)
			if free := p.Free(n); free < 0 || free > 8 {
				t.Fatalf("%d of 8 slots are free", free)
			}
			if _, got := p.Reserve(n); got < 0 || got > 8 {
				t.Fatalf("reserved %d of 8 slots", got)
			} else if r.IntN(2) == 0 {
				p.Unreserve(got)
			}
			p.Submit()
			if n := p.Pending(); n < 0 || n > 8 {
				t.Fatalf("%d of 8 slots are pending", n)
			}
		} else {
			atomic.StoreUint32(m.Producer, hostile)
			if _, got := c.Peek(r.IntN(20)); got < 0 || got > 8 {
				t.Fatalf("peeked at %d of 8 slots", got)
			}
			c.Release()
		}
	}
}

func TestNonsenseIndexTouchesNothing(t *testing.T) {
	m, p, c := views(t, 8, 100)
	*m.Producer = 109 // 9 filled slots in a ring of 8
	if _, got := c.Peek(4); got != 0 {
		t.Errorf("peeked %d", got)
	}
	*m.Producer = 100
	*m.Consumer = 101 // consumed what was never there
	p.Reserve(1)
	p.Unreserve(1)
	*m.Consumer = 50 // consumed less than nothing
	q, err := NewProducer(m)
	if err != nil {
		t.Fatal(err)
	}
	if q.Free(1) != 0 {
		t.Errorf("%d free", q.Free(1))
	}
	*m.Consumer, *m.Producer = 100, 103 // sense again
	if _, got := c.Peek(4); got != 3 {
		t.Errorf("peeked %d after the index made sense again", got)
	}
}

func TestNeedWakeup(t *testing.T) {
	m, p, c := views(t, 4, 0)
	if p.NeedWakeup() || c.NeedWakeup() {
		t.Error("a ring without flags asks for a wake-up")
	}
	m.Flags = new(uint32)
	p, _ = NewProducer(m)
	c, _ = NewConsumer(m)
	for flags, want := range map[uint32]bool{0: false, FlagNeedWakeup: true, 6: false, 7: true} {
		*m.Flags = flags
		if p.NeedWakeup() != want || c.NeedWakeup() != want {
			t.Errorf("flags %d: producer %v, consumer %v, want %v", flags, p.NeedWakeup(), c.NeedWakeup(), want)
		}
	}
}

func TestRingErrors(t *testing.T) {
	index := new(uint32)
	for want, m := range map[string]Memory[uint64]{
		"0 slots":          {Producer: index, Consumer: index},
		"3 slots":          {Producer: index, Consumer: index, Slots: make([]uint64, 3)},
		"index is missing": {Producer: index, Slots: make([]uint64, 4)},
		"missing":          {Consumer: index, Slots: make([]uint64, 4)},
	} {
		_, errP := NewProducer(m)
		_, errC := NewConsumer(m)
		for _, err := range []error{errP, errC} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		}
	}
	if _, _, err := NewPair[int](12); err == nil {
		t.Error("a pair of 12 slots")
	}
	if p, c, err := NewPair[int](16); err != nil || p.Size() != 16 || c.Size() != 16 {
		t.Errorf("a pair of 16 slots: %v", err)
	}
}

// TestTwoGoroutines moves values from one goroutine to another; under the race detector it also shows that the indices order the
// accesses to the slots.
func TestTwoGoroutines(t *testing.T) {
	for _, size := range []int{1, 8, 256} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const count = 100_000
			_, p, c := views(t, size, 1<<32-1000)
			done := make(chan error)
			go func() {
				var want uint64
				for want < count {
					for _, v := range take(c, 17) {
						if v != want {
							done <- fmt.Errorf("took %d, want %d", v, want)
							return
						}
						want++
					}
				}
				done <- nil
			}()
			var in uint64
			for in < count {
				select {
				case err := <-done:
					t.Fatal(err)
				default:
					in += uint64(put(p, in, int(min(13, count-in))))
				}
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRingDoesNotAllocate(t *testing.T) {
	_, p, c := views(t, 64, 0)
	if allocs := testing.AllocsPerRun(1000, func() {
		put(p, 1, 32)
		_, n := c.Peek(32)
		c.Release()
		if n != 32 {
			t.Fatal(n)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkRing(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch%d", batch), func(b *testing.B) {
			b.ReportAllocs()
			p, c, err := NewPair[uint64](256)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				put(p, 1, batch)
				first, n := c.Peek(batch)
				for i := range uint32(n) {
					_ = *c.Slot(first + i)
				}
				c.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/value")
		})
	}
}

package ring

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

func mailbox[T any](tb testing.TB, size int) *Mailbox[T] {
	tb.Helper()
	m, err := NewMailbox[T](size)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestMailboxIsFIFOAndBounded(t *testing.T) {
	for _, size := range []int{1, 2, 4, 64} {
		m := mailbox[int](t, size)
		in, out := 0, 0
		for round := range 50 {
			for m.Push(in) {
				in++
			}
			if in-out != size {
				t.Fatalf("a mailbox of %d holds %d", size, in-out)
			}
			for range 1 + round%size {
				if m.Empty() {
					t.Fatal("empty with values in it")
				}
				if v, ok := m.Pop(); !ok || v != out {
					t.Fatalf("size %d: popped %d, %v, want %d", size, v, ok, out)
				}
				out++
			}
		}
		for v, ok := m.Pop(); ok; v, ok = m.Pop() {
			if v != out {
				t.Fatalf("popped %d, want %d", v, out)
			}
			out++
		}
		if in != out || !m.Empty() {
			t.Fatalf("pushed %d, popped %d, empty: %v", in, out, m.Empty())
		}
	}
}

func TestMailboxErrors(t *testing.T) {
	for _, size := range []int{-1, 0, 3, 100} {
		if _, err := NewMailbox[int](size); err == nil {
			t.Errorf("a mailbox of %d slots", size)
		}
	}
}

// TestMailboxManySenders checks that nothing is lost or doubled, and that each sender's values stay in order.
func TestMailboxManySenders(t *testing.T) {
	const senders, count = 8, 5000
	type message struct{ sender, number int }
	for _, size := range []int{1, 4, 128} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			m := mailbox[message](t, size)
			var wg sync.WaitGroup
			for s := range senders {
				wg.Go(func() {
					for n := range count {
						for !m.Push(message{s, n}) {
							runtime.Gosched()
						}
					}
				})
			}
			var next [senders]int
			for got := 0; got < senders*count; {
				v, ok := m.Pop()
				if !ok {
					runtime.Gosched()
					continue
				}
				if v.number != next[v.sender] {
					t.Fatalf("sender %d: got %d, want %d", v.sender, v.number, next[v.sender])
				}
				next[v.sender]++
				got++
			}
			wg.Wait()
			if _, ok := m.Pop(); ok {
				t.Error("more values than were sent")
			}
		})
	}
}

func TestMailboxKeepsNothingAlive(t *testing.T) {
	m := mailbox[*[1 << 20]byte](t, 4)
	freed := make(chan struct{})
	func() {
		p := new([1 << 20]byte)
		runtime.AddCleanup(p, func(c chan struct{}) { close(c) }, freed)
		m.Push(p)
		m.Pop()
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("what was popped is still reachable")
	runtime.KeepAlive(m)
}

func TestMailboxDoesNotAllocate(t *testing.T) {
	m := mailbox[[6]uint64](t, 8)
	if allocs := testing.AllocsPerRun(1000, func() {
		m.Push([6]uint64{1, 2, 3, 4, 5, 6})
		m.Pop()
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkMailbox(b *testing.B) {
	b.ReportAllocs()
	m := mailbox[[6]uint64](b, 256)
	for b.Loop() {
		m.Push([6]uint64{1})
		m.Pop()
	}
}

package afxdp

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ring"
)

// idleDevice makes a queue of a memory without a kernel behind it. What it returns completes everything that was submitted.
func idleDevice(b *testing.B, m *Memory) (q *native, complete func()) {
	b.Helper()
	q = &native{}
	part, err := m.take(place{}, -1)
	if err != nil {
		b.Fatal(err)
	}
	q.part, q.mem, q.mode.NeedWakeup = part, m.mem, true
	if q.pool, err = frame.NewPart(part.bytes, m.opt.FrameSize, part.base()); err != nil {
		b.Fatal(err)
	}
	pair := func() (*ring.Producer[uint64], *ring.Consumer[uint64]) {
		p, c, err := ring.NewPair[uint64](2048)
		if err != nil {
			b.Fatal(err)
		}
		return p, c
	}
	q.fill, _ = pair()
	done, completion := pair()
	q.completion = completion
	var sent *ring.Consumer[unix.XDPDesc]
	if q.tx, sent, err = ring.NewPair[unix.XDPDesc](2048); err != nil {
		b.Fatal(err)
	}
	return q, func() {
		first, n := sent.Peek(sent.Size())
		to, _ := done.Reserve(n)
		for i := range uint32(n) {
			*done.Slot(to + i) = sent.Slot(first+i).Addr &^ uint64(m.opt.FrameSize-1)
		}
		done.Submit()
		sent.Release()
	}
}

// BenchmarkForward measures what it takes a program to have one queue send what another one received, without the kernel's part: with a
// copy into a frame of that queue, or by lending it the frame. The packets lie in so many frames that they are not in the first caches, as
// those are not that a card has just written.
func BenchmarkForward(b *testing.B) {
	for _, c := range []struct {
		name string
		size uint32
		lend bool
	}{{"64/copied", 64, false}, {"64/lent", 64, true}, {"1514/copied", 1514, false}, {"1514/lent", 1514, true}} {
		b.Run(c.name, func(b *testing.B) { benchmarkForward(b, c.size, c.lend) })
	}
}

func benchmarkForward(b *testing.B, size uint32, lend bool) {
	m, err := NewMemory(2, Options{})
	if err != nil {
		b.Fatal(err)
	}
	from, _ := idleDevice(b, m)
	to, complete := idleDevice(b, m)
	received := make([]frame.Index, 8192)
	for i := range received {
		received[i] = from.pool.Alloc()
		clear(from.pool.Chunk(received[i]))
	}
	const burst = 64
	var batch [burst]frame.Desc
	next := 0
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += burst {
		for i := range batch {
			f := received[next]
			next = (next + 1) % len(received)
			from.pool.Retain(f) // it is released when it was sent, and received again
			batch[i] = frame.Desc{Frame: f, Len: size}
			from.pool.Chunk(f)[0] ^= 2 // as who forwards changes the addresses
		}
		if lend {
			m.Lend(to, from, batch[:])
		} else {
			for i := range batch {
				f := to.pool.Alloc()
				copy(to.pool.Chunk(f), from.pool.Bytes(batch[i]))
				from.pool.Release(batch[i].Frame)
				batch[i].Frame = f
			}
			to.Transmit(batch[:])
			for i := range batch {
				to.pool.Release(batch[i].Frame)
			}
		}
		_ = to.Flush() // nobody to wake
		complete()
		to.reap()
		from.part.takeBack(from.pool)
	}
	b.StopTimer()
	for _, q := range []*native{from, to} {
		if err := q.part.release(); err != nil {
			b.Fatal(err)
		}
	}
}

package afxdp

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// BenchmarkWire sends frames of 1514 bytes from one AF_XDP queue to another across veth, as fast as it goes: an operation is a
// frame sent. received/s is what arrived: the limit of anything that is built on such a link.
func BenchmarkWire(b *testing.B) {
	for _, driver := range []string{DriverNative, DriverAsavie} {
		b.Run(driver, func(b *testing.B) { benchmarkWire(b, Options{Driver: driver}, netlab.Config{}) })
	}
	b.Run("transferable", func(b *testing.B) { benchmarkWire(b, Options{Transferable: true}, netlab.Config{}) })
}

func benchmarkWire(b *testing.B, opt Options, cfg netlab.Config) {
	cfg.Name = "bench"
	lab := labFor(b, cfg)
	from, err := openSide(lab.Stack, opt)
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	to, err := openSide(lab.Kernel, opt)
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()

	var received atomic.Uint64
	var stop atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		drop(to.Queues()[0], &received, &stop)
	})

	q := from.Queues()[0]
	template := make([]byte, 1514)
	udpFrame(template, lab.Kernel.MAC, lab.Stack.MAC, lab.Kernel.Address.Addr(), sink, 1, 1514)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ReportAllocs()
	b.SetBytes(1514)
	b.ResetTimer()
	start := time.Now()
	var batch [64]frame.Desc
	for n := 0; n < b.N; {
		n += send(b, q, template, batch[:min(64, b.N-n)])
	}
	elapsed := time.Since(start).Seconds()
	b.StopTimer()
	b.ReportMetric(float64(received.Load())/elapsed, "received/s")
	b.ReportMetric(float64(q.Stats().KickEbusy)/float64(b.N), "dropped/op")
	b.ReportMetric(float64(q.Stats().Kicks)/float64(b.N), "kicks/op")
	stop.Store(true)
	to.Queues()[0].Wake()
	done.Wait()
}

// send transmits one batch, or waits for room, and returns how many packets it sent.
func send(b *testing.B, q Queue, template []byte, batch []frame.Desc) int {
	p := q.Pool()
	want := min(len(batch), q.Room(), p.Free())
	for i := range batch[:want] {
		f := p.Alloc()
		batch[i] = frame.Desc{Frame: f, Len: uint32(len(template))}
		copy(p.Chunk(f), template)
	}
	sent := q.Transmit(batch[:want])
	for _, d := range batch[:want] {
		p.Release(d.Frame)
	}
	if err := q.Flush(); err != nil {
		b.Fatal(err)
	}
	q.Recycle()
	return sent
}

// drop receives until it is told to stop, and counts.
func drop(q Queue, received *atomic.Uint64, stop *atomic.Bool) {
	var batch [64]frame.Desc
	for !stop.Load() {
		n := q.Receive(batch[:])
		for _, d := range batch[:n] {
			q.Pool().Release(d.Frame)
		}
		q.Recycle()
		received.Add(uint64(n))
		if n == 0 {
			_ = q.Wait(time.Second)
		}
	}
}

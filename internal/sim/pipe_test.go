package sim

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

// TestPipeEcho sends packets to and fro between two goroutines.
func TestPipeEcho(t *testing.T) {
	a, b, err := Pipe(Config{Frames: 256})
	if err != nil {
		t.Fatal(err)
	}
	const count = 20000
	stop := make(chan struct{})
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		batch := make([]frame.Desc, 32)
		for {
			n := b.Receive(batch)
			taken := b.Transmit(batch[:n])
			for _, d := range batch[:n] {
				b.Pool().Release(d.Frame)
			}
			_ = b.Flush()
			b.Recycle()
			if n == 0 || taken < n {
				select {
				case <-stop:
					return
				default:
					_ = b.Wait(10 * time.Millisecond)
				}
			}
		}
	}()
	sent, got := 0, 0
	idle := time.Now()
	for got < count && time.Since(idle) < 5*time.Second {
		for sent < count && sent-got < 32 && transmit(a, packet(b, sent, 1000)) {
			sent++
		}
		_ = a.Flush()
		for _, p := range receive(a) {
			if number(p) != got {
				t.Fatalf("packet %d came back as %d", got, number(p))
			}
			got++
			idle = time.Now()
		}
		if sent-got == 32 || sent == count {
			_ = a.Wait(10 * time.Millisecond)
		}
	}
	close(stop)
	b.Wake()
	<-echoed
	if got != count {
		t.Fatalf("%d of %d packets came back; stats %+v %+v", got, count, a.Stats(), b.Stats())
	}
	receive(b)
	checkFrames(t, a, b)
}

func TestPipeWait(t *testing.T) {
	a, b, err := Pipe(Config{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_ = b.Wait(30 * time.Millisecond)
	if d := time.Since(start); d < 25*time.Millisecond {
		t.Errorf("Wait took %v without a reason to end", d)
	}
	for what, end := range map[string]func(){
		"a wake-up": b.Wake,
		"a packet": func() {
			transmit(a, packet(b, 1, 60))
			_ = a.Flush()
		},
	} {
		timer := time.AfterFunc(20*time.Millisecond, end)
		start = time.Now()
		_ = b.Wait(-1)
		if d := time.Since(start); d < 15*time.Millisecond {
			t.Errorf("Wait for %s took %v", what, d)
		}
		timer.Stop()
		receive(b)
	}
	transmit(a, packet(b, 1, 60))
	_ = a.Flush()
	_ = b.Wait(-1) // a packet is there already
	receive(b)
	for range 3 {
		b.Wake()
	}
	_ = b.Wait(-1) // was woken already
	start = time.Now()
	_ = b.Wait(20 * time.Millisecond)
	if time.Since(start) < 15*time.Millisecond {
		t.Error("several wake-ups count as more than one")
	}
	time.AfterFunc(20*time.Millisecond, func() { b.Wake() })
	_ = b.Wait(-1)
}

func TestPipePeerIsGone(t *testing.T) {
	a, b, err := Pipe(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if a.HardwareAddr() == b.HardwareAddr() {
		t.Error("both ends have the same address")
	}
	_ = b.Close()
	if err := b.Wait(-1); err != nil {
		t.Error(err)
	}
	transmit(a, packet(b, 1, 60))
	_ = a.Flush()
	a.Recycle()
	if st := a.Stats(); st.PeerClosed != 1 {
		t.Errorf("stats %+v", st)
	}
	checkFrames(t, a)
}

func TestPipeConfigError(t *testing.T) {
	if _, _, err := Pipe(Config{MTU: 65535}); err == nil {
		t.Error("no error")
	}
}

// carry sends a batch of packets from one end and takes them at the other.
func carry(src, dst *Device, batch []frame.Desc, size uint32) {
	for i := range batch {
		batch[i] = frame.Desc{Frame: src.Pool().Alloc(), Len: size}
	}
	src.Transmit(batch)
	for _, d := range batch {
		src.Pool().Release(d.Frame)
	}
	_ = src.Flush()
	src.Recycle()
	for _, d := range batch[:dst.Receive(batch)] {
		dst.Pool().Release(d.Frame)
	}
	dst.Recycle()
}

func TestPipeDoesNotAllocate(t *testing.T) {
	a, b, err := Pipe(Config{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]frame.Desc, 32)
	if allocs := testing.AllocsPerRun(1000, func() { carry(a, b, batch, 1514) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if got := b.Stats().Received; got != 32*1001 {
		t.Errorf("received %d", got)
	}
}

func BenchmarkPipe(b *testing.B) {
	b.ReportAllocs()
	src, dst, err := Pipe(Config{})
	if err != nil {
		b.Fatal(err)
	}
	batch := make([]frame.Desc, 32)
	b.SetBytes(32 * 1514)
	for b.Loop() {
		carry(src, dst, batch, 1514)
	}
}

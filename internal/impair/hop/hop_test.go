package hop

import (
	"context"
	"encoding/binary"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/impair"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// world is two kernels with a hop between them.
type world struct {
	*Hop
	lab  *netlab.Lab
	recv net.PacketConn // on the stack's side
	send net.Conn       // on the kernel's side, to it
}

// open starts a hop. A is the stack's side, B the kernel's.
func open(t testing.TB, ab, ba impair.Config) *world {
	t.Helper()
	w := &world{lab: netlab.ForTest(t, netlab.Config{Name: "hop", BothKernel: true, Hop: true})}
	err := w.lab.Hop.Do(func() (err error) {
		w.Hop, err = Open(Config{A: w.lab.Hop.Stack.Interface, B: w.lab.Hop.Kernel.Interface, AB: ab, BA: ba, Seed: 1})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.Close()
	})
	if w.recv, err = w.lab.Stack.ListenPacket("udp", "10.77.0.2:7000"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.recv.Close() })
	if w.send, err = w.lab.Kernel.Dial("udp", "10.77.0.2:7000"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.send.Close() })
	return w
}

// echo answers a datagram with itself, n times, and returns the round trips.
func (w *world) echo(t *testing.T, n int) []time.Duration {
	t.Helper()
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := w.recv.ReadFrom(buf)
			if err != nil {
				return
			}
			w.recv.WriteTo(buf[:n], from)
		}
	}()
	var took []time.Duration
	buf := make([]byte, 64)
	for i := range n {
		begin := time.Now()
		if _, err := w.send.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		w.send.SetReadDeadline(begin.Add(5 * time.Second))
		if _, err := w.send.Read(buf); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took
}

func TestRoundTripIsAsConfigured(t *testing.T) {
	for _, delay := range []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond} {
		w := open(t, impair.Config{Delay: delay}, impair.Config{Delay: delay})
		rtt := w.echo(t, 40)
		ab, ba := w.Stats()
		t.Logf("delay %v each way: round trip %v, median %v, %v; late at most %v and %v",
			delay, rtt[0], rtt[len(rtt)/2], rtt[len(rtt)-1], ab.Latest, ba.Latest)
		if rtt[0] < 2*delay {
			t.Errorf("round trip of %v with %v each way", rtt[0], delay)
		}
		// What the machine adds, on a busy day; the least round trip is that of a quiet moment.
		if rtt[0] > 2*delay+time.Millisecond || rtt[len(rtt)/2] > 2*delay+5*time.Millisecond {
			t.Errorf("round trip of at least %v, median %v, with %v each way", rtt[0], rtt[len(rtt)/2], delay)
		}
	}
}

// flood sends numbered datagrams and returns the numbers in the order in which they arrive.
func (w *world) flood(t *testing.T, count int, every time.Duration) []uint32 {
	t.Helper()
	w.echo(t, 1) // so that the addresses are known
	w.recv.(*net.UDPConn).SetReadBuffer(4 << 20)
	w.recv.SetReadDeadline(time.Now()) // the echo ends
	time.Sleep(10 * time.Millisecond)
	w.recv.SetReadDeadline(time.Time{})
	var got []uint32
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			w.recv.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			n, _, err := w.recv.ReadFrom(buf)
			if err != nil {
				return
			}
			if n == 4 {
				got = append(got, binary.BigEndian.Uint32(buf))
			}
		}
	}()
	begin := time.Now()
	for i := range count {
		if _, err := w.send.Write(binary.BigEndian.AppendUint32(nil, uint32(i))); err != nil {
			t.Fatal(err)
		}
		if i%32 == 31 {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * every)))
		}
	}
	<-done
	return got
}

func TestLossIsAsConfigured(t *testing.T) {
	const count = 20_000
	for name, cfg := range map[string]impair.Config{
		"random": {Delay: time.Millisecond, Loss: 0.02},
		"bursts": {Delay: time.Millisecond, Burst: impair.Burst{Enter: 0.004, Leave: 0.2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, impair.Config{}, cfg)
			got := w.flood(t, count, 20*time.Microsecond)
			_, ba := w.Stats()
			lost := count - len(got)
			if uint64(lost) != ba.Lost+ba.BurstLost {
				t.Errorf("%d of %d arrived, counters %+v", len(got), count, ba)
			}
			if share := float64(lost) / count; math.Abs(share-0.02) > 0.004 {
				t.Errorf("%.2f %% was lost, want 2 %%", share*100)
			}
			if !slices.IsSorted(got) {
				t.Error("packets arrived out of order")
			}
		})
	}
}

func TestReorderingAndDuplication(t *testing.T) {
	const count = 5000
	w := open(t, impair.Config{}, impair.Config{
		Delay: 2 * time.Millisecond, Jitter: time.Millisecond, Reorder: 0.05, ReorderBy: 5 * time.Millisecond, Duplicate: 0.05,
	})
	got := w.flood(t, count, 50*time.Microsecond)
	_, ba := w.Stats()
	overtaken, top := uint64(0), uint32(0)
	for _, n := range got {
		if n < top {
			overtaken++
		}
		top = max(top, n)
	}
	if uint64(len(got)) != count+ba.Duplicated || ba.Duplicated < 200 || ba.Duplicated > 300 {
		t.Errorf("%d of %d arrived, %d doubled", len(got), count, ba.Duplicated)
	}
	if overtaken < 200 || overtaken > ba.Reordered+ba.Duplicated {
		t.Errorf("%d were overtaken, counters %+v", overtaken, ba)
	}
}

func TestRateAndTailDrop(t *testing.T) {
	// A frame of 46 bytes takes 46 µs at 8 Mbit/s.
	w := open(t, impair.Config{}, impair.Config{Rate: 8e6, QueueLen: 50})
	begin := time.Now()
	got := w.flood(t, 4000, 25*time.Microsecond)
	_, ba := w.Stats()
	if ba.QueueFull == 0 || uint64(len(got))+ba.QueueFull != 4000 || !slices.IsSorted(got) {
		t.Errorf("%d arrived in %v, counters %+v", len(got), time.Since(begin), ba)
	}
}

// TestUnfinishedChecksumsAreRefused shows what happens when the sender's offloads are on.
func TestUnfinishedChecksumsAreRefused(t *testing.T) {
	lab := netlab.ForTest(t, netlab.Config{Name: "hop-offloads", BothKernel: true, Hop: true, Offloads: true})
	var h *Hop
	err := lab.Hop.Do(func() (err error) {
		h, err = Open(Config{A: lab.Hop.Stack.Interface, B: lab.Hop.Kernel.Interface})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	go lab.Kernel.DialContext(ctx, "tcp", "10.77.0.2:7000")
	if err := h.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, ba := h.Stats(); ba.Unfinished == 0 {
		t.Errorf("counters %+v", ba)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	if _, err := Open(Config{A: "xs-absent", B: "xs-absent"}); err == nil {
		t.Error("no error")
	}
}

// BenchmarkForward sends full frames through a delay of 10 ms from the kernel's side and counts those that leave.
func BenchmarkForward(b *testing.B) {
	w := open(b, impair.Config{Delay: 10 * time.Millisecond}, impair.Config{Delay: 10 * time.Millisecond})
	payload := make([]byte, 1472)
	w.send.Write(payload)
	time.Sleep(50 * time.Millisecond)
	_, before := w.Stats()
	begin := time.Now()
	for b.Loop() {
		w.send.Write(payload)
	}
	time.Sleep(20 * time.Millisecond)
	_, after := w.Stats()
	b.ReportMetric(float64(after.Sent-before.Sent)/time.Since(begin).Seconds()/1000, "kpps")
	b.Logf("%+v", after)
}

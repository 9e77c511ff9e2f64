package afxdp

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// small has rings that any burst overruns.
var small = Options{Frames: 512, RxRing: 64, TxRing: 64, FillRing: 128, CompletionRing: 64, TxBudget: 32}

// forDrivers runs a test over both drivers; where the lab is of network cards, in zero-copy mode, and the native one in copy mode too.
func forDrivers(t *testing.T, opt Options, f func(t *testing.T, opt Options)) {
	type way struct {
		name, driver string
		mode         Mode
	}
	ways := []way{{"native", DriverNative, ModeAuto}, {"asavie", DriverAsavie, ModeAuto}}
	if _, cards, _ := netlab.CardsOfEnvironment(); cards {
		ways = []way{{"native", DriverNative, ModeZeroCopy}, {"native-copy", DriverNative, ModeCopy}, {"asavie", DriverAsavie, ModeZeroCopy}}
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			opt.Driver, opt.Mode = w.driver, w.mode
			f(t, opt)
		})
	}
}

func TestReceive(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		const packets = 1000
		for n := range uint32(packets) {
			r.peer.send(r.toStack(n, 60+int(n)%1455))
		}
		var next uint32
		got := r.receive(q, packets, func(n uint32, d frame.Desc) bool {
			if n != next || int(d.Len) != 60+int(n)%1455 {
				t.Fatalf("packet %d of %d bytes, want %d of %d", n, d.Len, next, 60+int(next)%1455)
			}
			next++
			return false
		})
		if got != packets {
			t.Fatalf("%d packets of %d", got, packets)
		}
		if s := q.Stats(); s.RxPackets < packets || s.RxInvalid != 0 {
			t.Errorf("%+v", *s)
		}
		r.allBack(q)
	})
}

func TestTransmit(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		const packets = 1000
		for n := range uint32(packets) {
			if !r.transmit(q, n, 60+int(n)%1455) {
				t.Fatalf("no room for packet %d", n)
			}
			if n%50 == 49 {
				if err := q.Flush(); err != nil {
					t.Fatal(err)
				}
				q.Recycle()
			}
		}
		r.drain(q) // a card may have had no room
		got := r.peer.receive(packets)
		if len(got) != packets || !slices.IsSorted(got) {
			t.Fatalf("%d packets of %d, in order: %v", len(got), packets, slices.IsSorted(got))
		}
		r.allBack(q)
	})
}

// TestTail sends more at one Flush than the kernel takes at one kick, and calls nothing afterwards.
func TestTail(t *testing.T) {
	forDrivers(t, Options{TxBudget: 32}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		packets := 1500
		if !r.lab.Veth() {
			packets = 200 // as many as a card of 256 slots has room for: what is beyond them takes another call
		}
		for n := range packets {
			if !r.transmit(q, uint32(n), 100) {
				t.Fatalf("no room for packet %d", n)
			}
		}
		if err := q.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := len(r.peer.receive(packets)); got != packets {
			t.Errorf("%d packets of %d arrived: %+v", got, packets, *q.Stats())
		}
		r.allBack(q)
	})
}

// TestTailThroughWait leaves frames in the TX ring, because the device pushes back, and checks that turns of Flush, Recycle and
// Wait bring them out.
func TestTailThroughWait(t *testing.T) {
	forDrivers(t, Options{TxBudget: 32, SendBuffer: 8192}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{Qdisc: "pfifo", Threaded: true, GRO: true}, opt)
		q := r.queue()
		const packets = 1500
		for n := range uint32(packets) {
			if !r.transmit(q, n, 1000) {
				t.Fatalf("no room for packet %d", n)
			}
		}
		end := time.Now().Add(5 * time.Second * patience())
		for turns := 0; q.Stats().Completions < packets && time.Now().Before(end); turns++ {
			if err := q.Flush(); err != nil {
				t.Fatal(err)
			}
			q.Recycle()
			if err := q.Wait(-1); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(r.peer.receive(packets)); got != packets {
			t.Errorf("%d packets of %d arrived: %+v", got, packets, *q.Stats())
		}
		r.allBack(q)
	})
}

// TestTransmitBurst sends many times what any ring holds: Room and the pool hold the sender back, nothing is lost.
func TestTransmitBurst(t *testing.T) {
	forDrivers(t, small, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{Qdisc: "pfifo"}, opt)
		q := r.queue()
		const packets = 5000
		end := time.Now().Add(10 * time.Second * patience())
		for n := uint32(0); n < packets; {
			if r.transmit(q, n, 300) {
				n++
				continue
			}
			if err := q.Flush(); err != nil {
				t.Fatal(err)
			}
			q.Recycle()
			if time.Now().After(end) {
				t.Fatalf("stuck after %d packets: %+v %+v", n, q.Pool().Account(), *q.Stats())
			}
		}
		r.drain(q)
		got := r.peer.receive(packets)
		inOrder := slices.IsSorted(got)
		if !inOrder && !r.lab.Veth() {
			// Seen under virtio_net in an emulator: two neighbours of 5000 are swapped now and then. None is lost or doubled.
			t.Logf("not in order")
			slices.Sort(got)
			got, inOrder = slices.Compact(got), true
		}
		if lost := int(q.Stats().KickEbusy); len(got)+lost != packets || !inOrder {
			t.Errorf("%d packets of %d arrived, in order: %v, %d dropped by the device", len(got), packets, inOrder, lost)
		}
		r.allBack(q)
	})
}

// TestReceiveBurst receives many times what any ring holds, without looking: the kernel drops and counts, and what it kept is
// whole.
func TestReceiveBurst(t *testing.T) {
	forDrivers(t, small, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		const packets = 3000
		for n := range uint32(packets) {
			r.peer.send(r.toStack(n, 300))
		}
		got := r.receive(q, packets, func(uint32, frame.Desc) bool { return false })
		s, err := q.Statistics()
		if err != nil {
			t.Fatal(err)
		}
		if dropped := int(s.RxRingFull + s.FillRingEmpty + s.RxDropped); got < 64 || got+dropped < packets && r.lab.Veth() { // a card drops too
			t.Errorf("%d packets received and %d dropped, of %d: %+v", got, dropped, packets, s)
		}
		r.peer.send(r.toStack(packets, 300)) // and it goes on
		if got := r.receive(q, 1, func(uint32, frame.Desc) bool { return false }); got != 1 {
			t.Error("nothing is received after the burst")
		}
		r.allBack(q)
	})
}

// TestPoolExhaustion holds every frame that comes until no more come, or until only the reserve is free: the kernel gets a few of that
// all the same. Frames for transmission must be left, and all must work again once the frames are released.
func TestPoolExhaustion(t *testing.T) {
	forDrivers(t, small, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		var held frame.List
		held.Init()
		hold := func(_ uint32, d frame.Desc) bool {
			held.PushBack(q.Pool(), d.Frame)
			return true
		}
		for n := uint32(0); n < 1000 && q.Pool().Free() > q.Pool().Size()/fillReserve; n += 20 { // in portions that fit the rings
			for i := range uint32(20) {
				r.peer.send(r.toStack(n+i, 200))
			}
			if got := r.receive(q, 20, hold); got < 20 {
				break
			}
		}
		a := q.Pool().Account()
		if a.Held != held.Len() || a.Held < opt.Frames/2 {
			t.Errorf("%d frames in the list: %+v", held.Len(), a)
		}
		t.Logf("exhausted: %+v", a)
		if opt.Driver == DriverNative {
			for n := range uint32(8) {
				if !r.transmit(q, n, 100) {
					t.Errorf("no frame to send with, packet %d: %+v", n, q.Pool().Account())
				}
			}
			if err := q.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := len(r.peer.receive(8)); got != 8 {
				t.Errorf("%d packets of 8 sent", got)
			}
		}
		held.ReleaseAll(q.Pool())
		q.Recycle()
		r.receive(q, 1<<30, func(uint32, frame.Desc) bool { return false }) // what was in the rings
		for n := range uint32(40) {
			r.peer.send(r.toStack(n, 200))
		}
		if got := r.receive(q, 40, func(uint32, frame.Desc) bool { return false }); got != 40 {
			t.Errorf("%d packets of 40 after the release", got)
		}
		r.allBack(q)
	})
}

// TestTwoQueues runs the same interface at both ends. What is sent on a queue of a veth arrives at the same queue of the other end; of a
// card all of it arrives, at the queue that the other's hash says.
func TestTwoQueues(t *testing.T) {
	forDrivers(t, Options{}, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{Queues: 2}, opt)
		other, err := openSide(r.lab.Kernel, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := r.lab.WaitCarrier(); err != nil {
			t.Fatal(err)
		}
		if n := len(r.iface.Queues()); n != 2 {
			t.Fatalf("%d queues", n)
		}
		packets := 300
		if !r.lab.Veth() {
			packets = 100 // of both queues together no more than a ring of 256 slots holds
		}
		to := r.lab.Kernel.Address.Addr()
		for i, q := range r.iface.Queues() {
			for n := range uint32(packets) {
				f := q.Pool().Alloc()
				udpFrame(q.Pool().Chunk(f), r.lab.Kernel.MAC, r.lab.Stack.MAC, to, sink, n+uint32(i)*1000, 500)
				q.Transmit([]frame.Desc{{Frame: f, Len: 500}})
				q.Pool().Release(f)
			}
			if err := q.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		r.fromQueues(other, packets, func(q Queue, n uint32, d frame.Desc) {
			// And back the way it came, in the same frame.
			b := q.Pool().Chunk(d.Frame)[d.Off:]
			udpFrame(b, r.lab.Stack.MAC, r.lab.Kernel.MAC, r.lab.Stack.Address.Addr(), sink, n, 500)
			q.Transmit([]frame.Desc{d})
		})
		r.fromQueues(r.iface, packets, func(Queue, uint32, frame.Desc) {})
		for _, q := range r.iface.Queues() {
			r.allBack(q)
		}
	})
}

// fromQueues calls f with the packets that come to the queues of an interface, so many that were sent on each queue of the other end.
func (r *rig) fromQueues(i *Interface, packets int, f func(Queue, uint32, frame.Desc)) {
	r.t.Helper()
	seen := make(map[uint32]bool)
	for at, q := range i.Queues() {
		want := packets
		if !r.lab.Veth() {
			want = packets*len(i.Queues()) - len(seen)
		}
		got := r.receive(q, want, func(n uint32, d frame.Desc) bool {
			if seen[n] || n%1000 >= uint32(packets) || r.lab.Veth() && n/1000 != uint32(at) {
				r.t.Errorf("packet %d at queue %d", n, at)
			}
			seen[n] = true
			f(q, n, d)
			return false
		})
		if r.lab.Veth() && got != packets {
			r.t.Errorf("queue %d received %d packets of %d", at, got, packets)
		}
		r.drain(q)
	}
	if len(seen) != packets*len(i.Queues()) {
		r.t.Errorf("%d packets of %d came", len(seen), packets*len(i.Queues()))
	}
}

func TestWake(t *testing.T) {
	forDrivers(t, small, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		const long = 30 * time.Second
		start := time.Now()
		q.Wake() // before the sleep
		if err := q.Wait(long); err != nil {
			t.Fatal(err)
		}
		var wakers sync.WaitGroup
		for range 50 {
			wakers.Go(func() {
				time.Sleep(time.Millisecond)
				for range 10 {
					q.Wake()
				}
			})
			for wakes := q.Stats().Wakes; q.Stats().Wakes == wakes; {
				if err := q.Wait(-1); err != nil {
					t.Fatal(err)
				}
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("51 wake-ups took %v", d)
		}
		wakers.Wait()
		start = time.Now()
		for range 100 { // stray wake-ups are at an end after a few turns
			if err := q.Wait(20 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < time.Second {
			t.Errorf("100 waits of 20 ms took only %v", d)
		}
		r.peer.send(r.toStack(1, 100)) // a packet ends a sleep too
		start = time.Now()
		if got := r.receive(q, 1, func(uint32, frame.Desc) bool { return false }); got != 1 || time.Since(start) > 5*time.Second {
			t.Errorf("%d packets after %v", got, time.Since(start))
		}
		r.iface.Close()
		q.Wake() // harmless
		r.iface = nil
	})
}

// TestMalformed transmits ranges that the kernel would refuse.
func TestMalformed(t *testing.T) {
	forDrivers(t, small, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		p := q.Pool()
		f := p.Alloc()
		size := uint32(p.ChunkSize())
		bad := []frame.Desc{{Frame: f}, {Frame: f, Len: 13}, {Frame: f, Len: size + 1}, {Frame: f, Off: size - 10, Len: 60},
			{Frame: f, Off: 1 << 31, Len: 60}, {Frame: f, Off: 8, Len: 1<<32 - 1}}
		if n := q.Transmit(bad); n != len(bad) {
			t.Errorf("took %d of %d", n, len(bad))
		}
		p.Release(f)
		if err := q.Flush(); err != nil {
			t.Error(err)
		}
		if s := q.Stats(); s.TxMalformed != uint64(len(bad)) || s.TxPackets != 0 {
			t.Errorf("%+v", *s)
		}
		if room := q.Room(); room != opt.TxRing {
			t.Errorf("room for %d packets, want %d", room, opt.TxRing)
		}
		r.allBack(q)
	})
}

// TestLinkFlap takes the link down under the queue: errors say so, and traffic goes on afterwards.
func TestLinkFlap(t *testing.T) {
	forDrivers(t, small, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		if err := r.lab.Stack.SetDown(); err != nil {
			t.Fatal(err)
		}
		if !r.transmit(q, 1, 100) {
			t.Fatal("no room")
		}
		down := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, unix.ENETDOWN) || !errors.Is(err, ErrInterfaceDown) {
				t.Errorf("%s says %v", what, err)
			}
		}
		down("Flush", q.Flush())
		down("Flush", q.Flush())
		start := time.Now()
		down("Wait", q.Wait(-1))
		if d := time.Since(start); d < time.Millisecond || d > 5*time.Second {
			t.Errorf("Wait returned after %v", d)
		}
		if s := q.Stats(); s.KickDown < 2 || s.KickErrors != 0 {
			t.Errorf("%+v", *s)
		}
		if err := r.lab.Stack.SetUp(); err != nil {
			t.Fatal(err)
		}
		if err := r.lab.WaitCarrier(); err != nil {
			t.Fatal(err)
		}
		if err := q.Flush(); err != nil { // what was left is sent now
			t.Fatal(err)
		}
		if got := len(r.peer.receive(1)); got != 1 {
			t.Errorf("the packet that waited did not arrive: %+v", *q.Stats())
		}
		for n := range uint32(30) {
			r.peer.send(r.toStack(n, 200))
		}
		if got := r.receive(q, 30, func(uint32, frame.Desc) bool { return false }); got != 30 {
			t.Errorf("%d packets of 30 after the flap", got)
		}
		r.allBack(q)
	})
}

// TestGone removes the interface under the queue.
func TestGone(t *testing.T) {
	forDrivers(t, small, func(t *testing.T, opt Options) {
		r := newRig(t, netlab.Config{}, opt)
		q := r.queue()
		veth := r.lab.Veth()
		if err := errors.Join(r.lab.Close(), dropLab()); err != nil && veth { // a virtio_net with a program keeps its queues
			t.Fatal(err)
		}
		r.transmit(q, 1, 100)
		if err := q.Flush(); !errors.Is(err, unix.ENXIO) || !errors.Is(err, ErrGone) {
			t.Errorf("Flush says %v", err)
		}
		var err error
		for range 100 {
			if err = q.Wait(-1); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrGone) {
			t.Errorf("Wait says %v", err)
		}
	})
}

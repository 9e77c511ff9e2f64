package afxdp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/ring"
)

// largeMTUs are those that need several frames: of network cards, and the largest that veth has.
var largeMTUs = []int{3900, 9000, 65535}

// lengths returns packet lengths, Ethernet header included, about all that can differ with that MTU.
func lengths(mtu int) []int {
	all := []int{60, 1514, mtu + 14}
	for n := 3840; n <= mtu; n += 3840 {
		all = append(all, n-1, n, n+1)
	}
	return all
}

// receivePackets is rig.receive for packets of several frames: it calls f with the bytes of each.
func (r *rig) receivePackets(q Queue, batch []frame.Desc, want int, f func(n uint32, length int)) (got int) {
	r.t.Helper()
	for idle := 0; got < want && idle < 20; {
		n := q.Receive(batch)
		var packet []byte
		for i, d := range batch[:n] {
			packet = append(packet, q.Pool().Bytes(d)...)
			q.Pool().Release(d.Frame)
			if d.More {
				if i == n-1 {
					r.t.Fatal("the batch ends within a packet")
				}
				continue
			}
			if seq, ok := number(packet); ok {
				got++
				f(seq, len(packet))
			}
			packet = packet[:0]
		}
		q.Recycle()
		if idle++; n > 0 {
			idle = 0
			continue
		}
		if err := q.Wait(10 * time.Millisecond); err != nil {
			r.t.Fatalf("Wait: %v", err)
		}
	}
	return got
}

// transmitPacket queues packet n in as many frames as it needs, each with so many bytes free at its beginning.
func (r *rig) transmitPacket(q Queue, n uint32, length int, headroom uint32) bool {
	r.t.Helper()
	p := q.Pool()
	packet := udpFrame(r.buf[:], r.lab.Kernel.MAC, r.lab.Stack.MAC, sink, r.lab.Stack.Address.Addr(), n, length)
	var chain []frame.Desc
	for len(packet) > 0 {
		d := frame.Desc{Frame: p.Alloc(), Off: headroom}
		if d.Frame == frame.None {
			r.t.Fatal("no frame")
		}
		d.Len = uint32(copy(p.Chunk(d.Frame)[headroom:], packet))
		packet = packet[d.Len:]
		d.More = len(packet) > 0
		chain = append(chain, d)
	}
	ok := q.Room() >= len(chain)
	if ok {
		if got := q.Transmit(chain); got != len(chain) {
			r.t.Fatalf("Transmit took %d frames of %d", got, len(chain))
		}
	}
	for _, d := range chain {
		p.Release(d.Frame)
	}
	return ok
}

func TestMultiBufferReceive(t *testing.T) {
	for _, mtu := range largeMTUs {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			if _, cards, _ := netlab.CardsOfEnvironment(); cards && mtu > 9216 {
				t.Skip("needs a veth pair: the emulated card that has such an MTU loses some of these packets")
			}
			r := newRig(t, netlab.Config{MTU: mtu}, Options{})
			testMultiBufferReceive(t, r, mtu, r.bufferedXDP())
		})
	}
	t.Run("generic", func(t *testing.T) {
		const mtu = 9000
		testMultiBufferReceive(t, newRig(t, netlab.Config{MTU: mtu}, Options{Attach: bpf.AttachGeneric}), mtu, bpf.AttachGeneric)
	})
}

// bufferedXDP returns where a program for packets of several buffers runs: in the driver, if that takes it.
func (r *rig) bufferedXDP() bpf.AttachMode {
	if r.iface.Info().Driver == "igb" {
		return bpf.AttachGeneric
	}
	return bpf.AttachNative
}

func testMultiBufferReceive(t *testing.T, r *rig, mtu int, attach bpf.AttachMode) {
	q := r.queue()
	if m := q.Mode(); q.MTU() != mtu || !m.MultiBuffer || m.NoMultiBuffer != nil || m.Attach != attach {
		t.Fatalf("MTU %d, %+v", q.MTU(), m)
	}
	// The batch ends within a packet again and again: it may have as few frames as one packet.
	for _, batch := range []int{64, 23, frame.MaxFrames} {
		var want, got []int
		for n := range 3 {
			for some := range slices.Chunk(lengths(mtu), 8) { // which a card's ring holds
				for i, length := range some {
					r.peer.send(r.toStack(uint32(n+i), length))
					want = append(want, length)
				}
				r.receivePackets(q, make([]frame.Desc, batch), len(some), func(_ uint32, length int) {
					got = append(got, length)
				})
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("batches of %d: packets of %d bytes, want %d", batch, got, want)
		}
	}
	if s := q.Stats(); s.RxInvalid != 0 || s.RxFragments == 0 {
		t.Errorf("%+v", *s)
	}
	r.allBack(q)
}

func TestMultiBufferTransmit(t *testing.T) {
	for _, mtu := range largeMTUs {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			r := newRig(t, netlab.Config{MTU: mtu}, Options{TxBudget: 32}) // which is no multiple of a packet's frames
			q := r.queue()
			packets := 0
			for round := range 4 {
				sent := 0
				for i, length := range lengths(q.MTU()) {
					if !r.transmitPacket(q, uint32(packets), length, uint32(i%3)*64) {
						t.Fatal("no room")
					}
					packets++
					sent++
				}
				if err := q.Flush(); err != nil {
					t.Fatal(err)
				}
				q.Recycle()
				if got := r.peer.receive(sent); len(got) != sent || !slices.IsSorted(got) {
					t.Fatalf("round %d: %d packets of %d arrived: %+v", round, len(got), sent, *q.Stats())
				}
			}
			if s := q.Stats(); s.TxPackets != uint64(packets) || s.TxMalformed != 0 {
				t.Errorf("%+v", *s)
			}
			r.allBack(q)
		})
	}
}

// TestMultiBufferTxRingFull checks that no part of a packet is published when there is room for no more.
func TestMultiBufferTxRingFull(t *testing.T) {
	opt := small
	opt.FrameSize = 4096
	r := newRig(t, netlab.Config{MTU: 65535, Qdisc: "pfifo"}, opt)
	q := r.queue()
	sent := 0
	for n := range uint32(200) {
		if q.Room() < 17 { // not a multiple of the ring's 64
			p, chain := q.Pool(), make([]frame.Desc, 17)
			for i := range chain {
				chain[i] = frame.Desc{Frame: p.Alloc(), Len: 1000, Mark: frame.Mark{More: i < 16}}
			}
			if got := q.Transmit(chain); got != 0 {
				t.Fatalf("took %d frames with room for %d", got, q.Room())
			}
			for _, d := range chain {
				p.Release(d.Frame)
			}
			if err := q.Flush(); err != nil {
				t.Fatal(err)
			}
			q.Recycle()
			continue
		}
		if r.transmitPacket(q, n, 65549, 0) {
			sent++
		}
	}
	if err := q.Flush(); err != nil {
		t.Fatal(err)
	}
	got := r.peer.receive(sent)
	if lost := int(q.Stats().KickEbusy); len(got)+lost != sent || sent < 100 {
		t.Errorf("%d packets of %d arrived, %d dropped by the device", len(got), sent, lost)
	}
	r.allBack(q)
}

func TestMultiBufferDoesNotAllocate(t *testing.T) {
	r := newRig(t, netlab.Config{MTU: 9000}, Options{})
	q := r.queue()
	p := q.Pool()
	packet := slices.Clone(r.toStack(1, 9014))
	received := 0
	allocs := testing.AllocsPerRun(50, func() {
		r.peer.send(packet)
		received += r.forget(q)
		for i := range 3 {
			r.batch[i] = frame.Desc{Frame: p.Alloc(), Len: 3000, Mark: frame.Mark{More: i < 2}}
		}
		q.Transmit(r.batch[:3])
		for _, d := range r.batch[:3] {
			p.Release(d.Frame)
		}
		if err := q.Flush(); err != nil {
			t.Error(err)
		}
		q.Recycle()
	})
	r.receivePackets(q, r.batch[:], 51, func(uint32, int) { received += 3 }) // those that came late
	if allocs != 0 || received < 150 || q.Stats().TxFragments < 100 {
		t.Errorf("%v allocations per turn, %d frames received, %+v", allocs, received, *q.Stats())
	}
	r.allBack(q)
}

func TestMultiBufferMalformed(t *testing.T) {
	r := newRig(t, netlab.Config{MTU: 9000}, Options{})
	q := r.queue()
	p := q.Pool()
	f, g := p.Alloc(), p.Alloc()
	good := frame.Desc{Frame: f, Len: 1000, Mark: frame.Mark{More: true}}
	for name, chain := range map[string][]frame.Desc{
		"no end":            {good},
		"no end either":     {good, {Frame: g, Len: 10, Mark: frame.Mark{More: true}}},
		"empty frame":       {good, {Frame: g}},
		"beyond the frame":  {good, {Frame: g, Off: 4000, Len: 97}},
		"beyond, at start":  {{Frame: f, Off: 1 << 31, Len: 60, Mark: frame.Mark{More: true}}, {Frame: g, Len: 60}},
		"short first frame": {{Frame: f, Len: 13, Mark: frame.Mark{More: true}}, {Frame: g, Len: 1000}},
		"too many frames":   slices.Concat(slices.Repeat([]frame.Desc{good}, frame.MaxFrames), []frame.Desc{{Frame: g, Len: 1}}),
	} {
		before, room := q.Stats().TxMalformed, q.Room()
		if n := q.Transmit(chain); n != len(chain) {
			t.Errorf("%s: took %d of %d", name, n, len(chain))
		}
		if s := q.Stats(); s.TxMalformed != before+1 || s.TxPackets != 0 || q.Room() != room {
			t.Errorf("%s: room %d of %d, %+v", name, q.Room(), room, *s)
		}
	}
	batch := []frame.Desc{
		{Frame: f, Len: 13, Mark: frame.Mark{More: true}}, {Frame: g, Len: 1000}, {Frame: f, Len: 60, Mark: frame.Mark{More: true}}, {Frame: g, Len: 60},
	}
	if n := q.Transmit(batch); n != 4 || q.Stats().TxPackets != 1 || q.Stats().TxFragments != 1 {
		t.Errorf("a good packet after a bad one: took %d frames, %+v", n, *q.Stats())
	}
	p.Release(f)
	p.Release(g)
	if err := q.Flush(); err != nil {
		t.Error(err)
	}
	r.allBack(q)
}

// TestNoMultiBuffer is about the driver that cannot: it says so, and its MTU is what a frame holds.
func TestNoMultiBuffer(t *testing.T) {
	r := newRig(t, netlab.Config{MTU: 9000}, Options{Driver: DriverAsavie})
	q := r.queue()
	if m := q.Mode(); m.MultiBuffer || !errors.Is(m.NoMultiBuffer, ErrNoMultiBuffer) || q.MTU() != 3818 {
		t.Fatalf("MTU %d, %+v", q.MTU(), m)
	}
	if why := q.Mode().NoMultiBuffer.Error(); !strings.Contains(why, "an MTU of at most 3818") {
		t.Error(why)
	}
	p := q.Pool()
	f := p.Alloc()
	q.Transmit([]frame.Desc{{Frame: f, Len: 1000, Mark: frame.Mark{More: true}}})
	p.Release(f)
	if s := q.Stats(); s.TxMalformed != 1 {
		t.Errorf("a part of a packet: %+v", *s)
	}
	r.allBack(q)
}

// TestHostileChains has the RX ring say what the kernel would not: nothing is lost, and no part of a packet is handed out.
func TestHostileChains(t *testing.T) {
	const chunk, frames = 2048, 128
	pool, err := frame.NewPool(make([]byte, frames*chunk), chunk)
	if err != nil {
		t.Fatal(err)
	}
	producer, consumer, err := ring.NewPair[unix.XDPDesc](128)
	if err != nil {
		t.Fatal(err)
	}
	q := &native{rings: rings{rx: consumer}}
	q.pool, q.mode.MultiBuffer = pool, true
	const more, end, foreign = 1, 0, 2 // kinds of descriptors; foreign: it names no frame of the fill ring
	give := func(kinds ...int) {
		first, n := producer.Reserve(len(kinds))
		if n != len(kinds) {
			t.Fatal("ring full")
		}
		for i, k := range kinds {
			f := frame.Index(frames - 1)
			if k&foreign == 0 {
				f = pool.GiveToFill()
			}
			*producer.Slot(first + uint32(i)) = unix.XDPDesc{Addr: pool.Addr(f, 0), Len: 100, Options: uint32(k & more)}
		}
		producer.Submit()
	}
	for _, test := range []struct {
		name    string
		kinds   []int
		want    []int // frames of the packets that come
		dropped uint64
	}{
		{"whole packets", []int{end, more, more, end, end}, []int{1, 3, 1}, 0},
		{"foreign in the middle", []int{more, more, foreign | more, more, end, end}, []int{1}, 1},
		{"foreign at the end", []int{more, foreign, more, end}, []int{2}, 1},
		{"foreign at the start", []int{foreign | more, end, end}, []int{1}, 1},
		{"foreign alone", []int{foreign, end}, []int{1}, 1},
		{"twice foreign", []int{more, foreign | more, foreign, end}, []int{1}, 1},
		{"as long as may be", append(slices.Repeat([]int{more}, frame.MaxFrames-1), end), []int{frame.MaxFrames}, 0},
		{"too long", append(slices.Repeat([]int{more}, frame.MaxFrames), end, end), []int{1}, 1},
		{"longer than the batch", append(slices.Repeat([]int{more}, 100), end, end), []int{1}, 1},
	} {
		give(test.kinds...)
		before := q.stats.RxInvalid
		var got []int
		batch := make([]frame.Desc, 32)
		for range 10 {
			n := q.Receive(batch)
			length := 0
			for _, d := range batch[:n] {
				pool.Release(d.Frame)
				if length++; !d.More {
					got = append(got, length)
					length = 0
				}
			}
			if length != 0 {
				t.Errorf("%s: part of a packet", test.name)
			}
		}
		if !slices.Equal(got, test.want) || q.stats.RxInvalid != before+test.dropped {
			t.Errorf("%s: packets of %d frames, want %d; %d dropped, want %d", test.name, got, test.want, q.stats.RxInvalid-before,
				test.dropped)
		}
		if a := pool.Account(); a.Free != frames {
			t.Errorf("%s: %+v", test.name, a)
		}
	}
	give(more, more)
	if n := q.Receive(make([]frame.Desc, 32)); n != 0 {
		t.Errorf("%d frames of a packet that has not ended", n)
	}
	give(end)
	if n := q.Receive(make([]frame.Desc, 32)); n != 3 {
		t.Errorf("%d frames of the packet after its end came, want 3", n)
	}
}

package receive

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
)

func newReflector(t testing.TB, layer Layer, nets ...netip.Prefix) *Reflector {
	t.Helper()
	r, err := NewReflector(layer, ourIP, nets)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReflection(t *testing.T) {
	for tags := range 3 {
		for _, layer := range []Layer{Layer2, Layer3, Layer4} {
			d := ordinary()
			d.tags = tags
			b := d.bytes()
			var c Counters
			if !newReflector(t, layer).turn(b, &c) {
				t.Fatalf("layer %d, %d tags: not sent back: %+v", layer, tags, c)
			}
			want := d
			want.to, want.from = d.from, d.to
			if layer > Layer2 {
				want.src, want.dst = d.dst, d.src
			}
			expected := want.bytes()
			ip := b[14+4*tags:]
			if layer == Layer4 { // bytes has the ports in one order only
				ports := expected[14+4*tags+20:]
				ports[0], ports[1], ports[2], ports[3] = ports[2], ports[3], ports[0], ports[1]
			}
			if !bytes.Equal(b, expected) {
				t.Errorf("layer %d, %d tags:\n% x, want\n% x", layer, tags, b, expected)
			}
			if !checksum.Valid(checksum.Sum(ip[:20], 0)) || !checksum.Valid(udpSum(ip)) {
				t.Errorf("layer %d, %d tags: a checksum is wrong now", layer, tags)
			}
		}
	}
}

func TestWhatIsNotReflected(t *testing.T) {
	vary := func(f func(d *datagram)) []byte {
		d := ordinary()
		f(&d)
		return d.bytes()
	}
	damaged := func(at int, v byte) []byte {
		b := ordinary().bytes()
		b[at] = v
		return b
	}
	ours := netip.MustParsePrefix("10.77.0.0/24")
	for name, tt := range map[string]struct {
		b     []byte
		layer Layer
		want  Counters
	}{
		"too short":           {ordinary().bytes()[:13], Layer2, Counters{Short: 1}},
		"ends within IPv4":    {ordinary().bytes()[:33], Layer3, Counters{Short: 1}},
		"ends within options": {damaged(14, 0x4f)[:60], Layer3, Counters{Short: 1}},
		"short header length": {damaged(14, 0x44), Layer3, Counters{Short: 1}},
		"ends within ports":   {ordinary().bytes()[:37], Layer4, Counters{Short: 1}},
		"to all":              {vary(func(d *datagram) { d.to = ethernet.Broadcast }), Layer2, Counters{Group: 1}},
		"from a group":        {vary(func(d *datagram) { d.from[0] = 1 }), Layer2, Counters{Group: 1}},
		"to a group of IPv4":  {vary(func(d *datagram) { d.dst = netip.MustParseAddr("224.0.0.1") }), Layer3, Counters{Group: 1}},
		"from broadcast":      {vary(func(d *datagram) { d.src = netip.MustParseAddr("255.255.255.255") }), Layer3, Counters{Group: 1}},
		"from nobody":         {vary(func(d *datagram) { d.src = netip.IPv4Unspecified() }), Layer3, Counters{Group: 1}},
		"from ourselves":      {vary(func(d *datagram) { d.src = ourIP }), Layer3, Counters{Ourselves: 1}},
		"from elsewhere":      {vary(func(d *datagram) { d.src = netip.MustParseAddr("192.0.2.1") }), Layer3, Counters{Foreign: 1}},
		"ARP on layer 3":      {arpRequest(ourIP), Layer3, Counters{Group: 1}},
		"IPv6":                {damaged(12, 0x86), Layer3, Counters{NotIP: 1}},
		"three tags":          {append(ordinary().bytes()[:12], bytes.Repeat([]byte{0x81, 0, 0, 1}, 12)...), Layer3, Counters{NotIP: 1}},
		"ICMP on layer 4":     {vary(func(d *datagram) { d.proto = 1 }), Layer4, Counters{NoPorts: 1}},
		"a fragment":          {vary(func(d *datagram) { d.fragment = 0x2000 }), Layer4, Counters{NotIP: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			before := bytes.Clone(tt.b)
			var c Counters
			if newReflector(t, tt.layer, ours).turn(tt.b, &c) || c != tt.want {
				t.Errorf("%+v, want %+v", c, tt.want)
			}
			if !bytes.Equal(tt.b, before) {
				t.Error("it was changed")
			}
		})
	}
}

func TestReflectorConfig(t *testing.T) {
	for _, layer := range []Layer{0, 1, 5} {
		if _, err := NewReflector(layer, ourIP, nil); !errors.Is(err, ErrConfig) {
			t.Errorf("layer %d: %v", layer, err)
		}
	}
	if _, err := NewReflector(Layer3, ourIP, []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}); !errors.Is(err, ErrConfig) {
		t.Errorf("networks of IPv6 alone: %v", err)
	}
}

// memory is a pool of frames that hold what tests give them.
func memory(t testing.TB) *frame.Pool {
	t.Helper()
	pool, err := frame.NewPool(make([]byte, 128*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// load puts bytes into a frame.
func load(pool *frame.Pool, b []byte) frame.Desc {
	f := pool.Alloc()
	return frame.Desc{Frame: f, Off: 256, Len: uint32(copy(pool.Chunk(f)[256:], b))}
}

// TestReflectedBatches is about batches in which some packets go back, and some lie in several frames: what goes back is whole, in its
// order, at the front, and nothing is lost.
func TestReflectedBatches(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 0))
		pool := memory(t)
		var batch, want []frame.Desc
		for len(batch) < 40 {
			d := ordinary()
			good := rng.IntN(3) > 0
			if !good {
				d.to = ethernet.Broadcast
			}
			packet := []frame.Desc{load(pool, d.bytes())}
			for range rng.IntN(4) * rng.IntN(2) {
				packet[len(packet)-1].More = true
				packet = append(packet, load(pool, []byte{1}))
			}
			batch = append(batch, packet...)
			if good {
				want = append(want, packet...)
			}
		}
		all := make(map[frame.Index]bool)
		var c Counters
		n := newReflector(t, Layer4).Handle(batch, pool, 0, &c)
		for i, d := range batch {
			all[d.Frame] = true
			if i < n && d != want[i] {
				t.Fatalf("seed %d: descriptor %d is %+v, want %+v", seed, i, d, want[i])
			}
		}
		if n != len(want) || len(all) != len(batch) {
			t.Fatalf("seed %d: %d descriptors to be sent, want %d; %d frames of %d are left", seed, n, len(want), len(all), len(batch))
		}
	}
}

func TestReflectionDoesNotAllocate(t *testing.T) {
	pool := memory(t)
	r := newReflector(t, Layer4, netip.MustParsePrefix("10.0.0.0/8"))
	batch := []frame.Desc{load(pool, ordinary().bytes()), load(pool, arpRequest(ourIP)), load(pool, ordinary().bytes())}
	var c Counters
	if n := testing.AllocsPerRun(100, func() {
		r.own = 0 // the first packet is from us at every second time
		r.Handle(batch, pool, 0, &c)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReflector(f *testing.F) {
	f.Add(ordinary().bytes(), uint8(4))
	f.Add(arpRequest(ourIP), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, layer uint8) {
		r := newReflector(t, Layer(layer%3)+Layer2)
		before := bytes.Clone(b)
		var c Counters
		if !r.turn(b, &c) {
			return
		}
		r.own = 0
		if !r.turn(b, &c) || !bytes.Equal(b, before) {
			t.Errorf("there and back, % x became % x, %+v", before, b, c)
		}
	})
}

func BenchmarkReflect(b *testing.B) {
	pool := memory(b)
	for name, layer := range map[string]Layer{"layer 2": Layer2, "layer 3": Layer3, "layer 4": Layer4} {
		b.Run(name, func(b *testing.B) {
			r := newReflector(b, layer, netip.MustParsePrefix("10.0.0.0/8"))
			r.own = 0
			batch := []frame.Desc{load(pool, ordinary().bytes())}
			var c Counters
			for range b.N {
				r.Handle(batch, pool, 0, &c)
			}
			pool.Release(batch[0].Frame)
		})
	}
}

func TestARP(t *testing.T) {
	w := worker{pool: memory(t), responder: responder{ip: ourIP.As4(), mac: ourMAC}}
	conflict := arpRequest(senderIP)
	copy(conflict[28:32], ourIP.AsSlice())
	batch := []frame.Desc{
		load(w.pool, ordinary().bytes()), load(w.pool, arpRequest(ourIP)), load(w.pool, arpRequest(senderIP)), load(w.pool, conflict),
		load(w.pool, []byte{1, 2, 3}), load(w.pool, arpRequest(ourIP)[:30]),
	}
	asked := batch[1]
	rest, replies := w.answer(batch, w.pool, &w.counters)
	if len(rest) != 5 || replies != 1 || w.replies[0] != asked || w.counters.Conflicts != 1 {
		t.Fatalf("%d left, %d answered, %+v", len(rest), replies, w.counters)
	}
	var h ethernet.Header
	b := w.pool.Bytes(asked)
	off, err := ethernet.Parse(b, &h)
	if err != nil || h.Dst != senderMAC || h.Src != ourMAC {
		t.Errorf("%+v, %v", h, err)
	}
	a, err := ethernet.ParseARP(b[off:])
	want := ethernet.ARP{Op: ethernet.ARPReply, SenderMAC: ourMAC, SenderIP: ourIP.As4(), TargetMAC: senderMAC, TargetIP: senderIP.As4()}
	if err != nil || a != want {
		t.Errorf("%+v, %v, want %+v", a, err, want)
	}
}

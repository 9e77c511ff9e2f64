package gen

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/xdpstack/xdpstack/frame"
)

// TestWrite: the packets that Write puts into frames are those of Next, whatever happened to the frames between, and whoever else uses
// the pool.
func TestWrite(t *testing.T) {
	specs := []string{
		"udp,src=10.0.0.1-10.0.0.254,sport=1024-65535,size=64",
		"udp,sport=random,size=imix",
		"udp,sport=1-9,size=random:64-300/payload,text=abcdefg,u8@2=1-9",
		"vxlan=1-5/udp,checksum=good,sport=1-9,size=128-131",
		"tcp,seq=random/payload,text=hello",
	}
	var together []Stream
	for i, spec := range specs {
		s, err := ParseStream(spec)
		if err != nil {
			t.Fatal(err)
		}
		s.Weight = i + 1
		together = append(together, s)
	}
	pool, descs := newPool(t, 64, 40)
	r := rand.New(rand.NewPCG(1, 2))
	for _, workers := range []int{1, 3} {
		o := testOptions
		o.Workers = workers
		var all [][2]*Program
		for i := range len(together) + 1 {
			streams := together
			if i < len(together) {
				streams = together[i : i+1]
			}
			a, err := Compile(streams, o)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := Compile(streams, o)
			all = append(all, [2]*Program{a, b})
		}
		for turn := range 3000 {
			p := all[r.IntN(len(all))]
			frames := descs[:1+r.IntN(len(descs))]
			off := uint32(256)
			if r.IntN(50) == 0 {
				off = 300
			}
			for i := range frames {
				frames[i].Off = off
				if frames[i].Frame = pool.AllocHolding(); r.IntN(5) == 0 {
					pool.Release(frames[i].Frame)
					frames[i].Frame = pool.Alloc()
				}
			}
			now := r.Uint64()
			n := p[0].Write(pool, frames, now)
			want := make([]byte, 2048)
			for i := range frames {
				k := p[1].Next(want, now)
				n -= k
				if got := pool.Bytes(frames[i]); !bytes.Equal(got, want[:k]) {
					t.Fatalf("turn %d: packet %d\n got %x\nwant %x", turn, i, got, want[:k])
				}
			}
			if n != 0 {
				t.Fatalf("turn %d: the number of bytes is off by %d", turn, n)
			}
			for i := range frames {
				pool.Release(frames[i].Frame)
			}
			disturb(pool, r)
		}
	}
}

// disturb has frames received into, given back by a socket that closes, or used by somebody else.
func disturb(pool *frame.Pool, r *rand.Rand) {
	var received []frame.Index
	for range r.IntN(8) {
		i := pool.GiveToFill()
		clear(pool.Chunk(i))
		if r.IntN(2) == 0 {
			pool.Received(i, 256, 100)
			received = append(received, i)
		}
	}
	for range r.IntN(4) {
		i := pool.Alloc()
		clear(pool.Chunk(i))
		received = append(received, i)
	}
	for _, i := range received {
		pool.Release(i)
	}
	pool.Reclaim()
}

// TestWriteNoMoreHoldings: a pool that has no more numbers for what frames hold has every template written, and others are not misled.
func TestWriteNoMoreHoldings(t *testing.T) {
	const known, fixed, mixed = "udp,sport=1,size=80", "udp,sport=2,size=64", "udp,sport=3,size=64-99"
	pool, frames := newPool(t, 8, 1)
	first := compile(t, known, testOptions)
	frames[0].Frame = pool.AllocHolding()
	first.Write(pool, frames, 1)
	pool.Release(frames[0].Frame)
	for pool.NewHoldings(1<<20) != 0 {
	}
	for pool.NewHoldings(1) != 0 {
	}
	programs := []*Program{first, compile(t, fixed, testOptions), compile(t, mixed, testOptions)}
	judges := []*Program{compile(t, known, testOptions), compile(t, fixed, testOptions), compile(t, mixed, testOptions)}
	want := make([]byte, 2048)
	judges[0].Next(want, 1)
	for i := range 300 {
		frames[0].Frame = pool.AllocHolding()
		programs[(i*7+i/5)%3].Write(pool, frames, 1)
		n := judges[(i*7+i/5)%3].Next(want, 1)
		if !bytes.Equal(pool.Bytes(frames[0]), want[:n]) {
			t.Fatalf("turn %d: got %x, want %x", i, pool.Bytes(frames[0]), want[:n])
		}
		pool.Release(frames[0].Frame)
	}
}

func TestWriteNoAllocation(t *testing.T) {
	p := compile(t, varied+",size=imix", testOptions)
	pool, frames := newPool(t, 64, 40)
	if n := testing.AllocsPerRun(1000, func() {
		for i := range frames {
			frames[i].Frame = pool.AllocHolding()
		}
		p.Write(pool, frames, 1)
		for i := range frames {
			pool.Release(frames[i].Frame)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

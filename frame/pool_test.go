package frame

import (
	"errors"
	"math/rand/v2"
	"testing"
)

const chunk = 2048

func pool(tb testing.TB, frames int) *Pool {
	tb.Helper()
	p, err := NewPool(make([]byte, frames*chunk), chunk)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// account checks the whole table and that the frames are where they should be.
func account(t *testing.T, p *Pool, want Account) {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if got := p.Account(); got != want {
		t.Fatalf("account %+v, want %+v", got, want)
	}
}

func TestNewPool(t *testing.T) {
	for _, test := range []struct {
		bytes, size int
		want        error
	}{
		{4 * 2048, 2048, nil}, {4096, 4096, nil}, {1 << 20, 1 << 20, nil},
		{2048, 1024, ErrChunkSize}, {4096, 3000, ErrChunkSize}, {4096, 0, ErrChunkSize}, {4096, -2048, ErrChunkSize},
		{0, 2048, ErrMemory}, {2047, 2048, ErrMemory}, {2049, 2048, ErrMemory},
	} {
		p, err := NewPool(make([]byte, test.bytes), test.size)
		if !errors.Is(err, test.want) {
			t.Errorf("%d bytes of %d: error %v, want %v", test.bytes, test.size, err, test.want)
		}
		if err == nil && (p.Size() != test.bytes/test.size || p.ChunkSize() != test.size || p.Free() != p.Size()) {
			t.Errorf("%d bytes of %d: %d frames of %d, %d free", test.bytes, test.size, p.Size(), p.ChunkSize(), p.Free())
		}
	}
}

func TestAllocUntilEmpty(t *testing.T) {
	p := pool(t, 8)
	seen := map[Index]bool{}
	for range 8 {
		i := p.Alloc()
		if i == None || seen[i] {
			t.Fatalf("allocated %d, had %v", i, seen)
		}
		seen[i] = true
		p.Meta(i).Off, p.Meta(i).Flags, p.Meta(i).Next = 7, 7, 7
	}
	if p.Alloc() != None || p.GiveToFill() != None {
		t.Fatal("an empty pool gives frames")
	}
	account(t, p, Account{Held: 8})
	for i := range seen {
		p.Release(i)
	}
	account(t, p, Account{Free: 8})
	i := p.Alloc()
	if m := *p.Meta(i); m != (Meta{Next: None, Prev: None, refs: 1}) {
		t.Errorf("the record of a new frame is %+v", m)
	}
}

func TestLastFreedIsFirstAllocated(t *testing.T) {
	p := pool(t, 8)
	a, b := p.Alloc(), p.Alloc()
	p.Release(a)
	p.Release(b)
	if got := p.Alloc(); got != b {
		t.Errorf("allocated %d, want %d, whose memory is still cached", got, b)
	}
}

func TestSendLife(t *testing.T) {
	p := pool(t, 4)
	i := p.Alloc()
	p.Retain(i)
	p.Transmitting(i)
	account(t, p, Account{Free: 3, Held: 1})
	if !p.InTransmission(i) {
		t.Error("not in transmission")
	}
	p.Release(i)
	account(t, p, Account{Free: 3, Held: 1})
	p.Release(i) // acknowledged before it was completed
	account(t, p, Account{Free: 3, TX: 1})
	if !p.Completed(i) {
		t.Error("not completed")
	}
	account(t, p, Account{Free: 4})

	i = p.Alloc()
	p.Transmitting(i)
	if !p.Completed(i) || p.InTransmission(i) {
		t.Error("not completed")
	}
	account(t, p, Account{Free: 3, Held: 1})
	p.Transmitting(i) // again: retransmitted
	p.Completed(i)
	p.Release(i) // acknowledged after it was completed
	account(t, p, Account{Free: 4})
}

func TestReceiveLife(t *testing.T) {
	p := pool(t, 4)
	i := p.GiveToFill()
	account(t, p, Account{Free: 3, Fill: 1})
	if !p.Received(i, 256, 1514) {
		t.Fatal("not received")
	}
	account(t, p, Account{Free: 3, Held: 1})
	if m := p.Meta(i); m.Off != 256 || m.Len != 1514 {
		t.Errorf("record %+v", m)
	}
	p.Release(i)
	account(t, p, Account{Free: 4})
}

// TestHostileDescriptors checks that what the kernel's rings could say, however wrong, changes nothing.
func TestHostileDescriptors(t *testing.T) {
	p := pool(t, 4)
	filled, held, sent := p.GiveToFill(), p.Alloc(), p.Alloc()
	p.Transmitting(sent)
	want := Account{Free: 1, Fill: 1, Held: 2}
	for _, d := range []Desc{
		{Frame: held, Off: 0, Len: 60}, {Frame: sent, Off: 0, Len: 60}, {Frame: 3, Off: 0, Len: 60}, // not in the fill ring
		{Frame: 4, Off: 0, Len: 60}, {Frame: None, Off: 0, Len: 60}, {Frame: 1 << 31, Off: 0, Len: 60}, // no such frame
		{Frame: filled, Off: 0, Len: chunk + 1}, {Frame: filled, Off: chunk, Len: 1}, {Frame: filled, Off: chunk + 1, Len: 0}, // not within the chunk
		{Frame: filled, Off: 1<<32 - 1, Len: 2}, {Frame: filled, Off: 2, Len: 1<<32 - 1}, {Frame: filled, Off: 1 << 31, Len: 1 << 31}, // nor with a sum that overflows
	} {
		if p.Received(d.Frame, d.Off, d.Len) {
			t.Errorf("received %+v", d)
		}
		account(t, p, want)
	}
	for _, i := range []Index{filled, held, 3, 4, None, 1 << 31} {
		if p.Completed(i) {
			t.Errorf("completed %d", i)
		}
		account(t, p, want)
	}
	if !p.Completed(sent) || p.Completed(sent) {
		t.Error("completed other than once")
	}
	if !p.Received(filled, chunk, 0) || p.Received(filled, 0, 60) {
		t.Error("received other than once")
	}
}

func TestLocate(t *testing.T) {
	p := pool(t, 4)
	for i := range Index(4) {
		for _, off := range []uint32{0, 1, 256, chunk - 1} {
			if gotI, gotOff := p.Locate(p.Addr(i, off)); gotI != i || gotOff != off {
				t.Errorf("frame %d, byte %d: located at %d, %d", i, off, gotI, gotOff)
			}
		}
	}
	for _, addr := range []uint64{4 * chunk, 1 << 43, 1<<43 + 1<<11, 1<<64 - 1} {
		if i, _ := p.Locate(addr); i != None {
			t.Errorf("address %#x is in frame %d", addr, i)
		}
	}
}

func TestBytesAreTheFramesOwn(t *testing.T) {
	p := pool(t, 4)
	for i := range Index(4) {
		c := p.Chunk(i)
		if len(c) != chunk || cap(c) != chunk {
			t.Fatalf("chunk of %d bytes, capacity %d", len(c), cap(c))
		}
		for j := range c {
			c[j] = byte(i)
		}
	}
	for i := range Index(4) {
		p.Meta(i).Off, p.Meta(i).Len = 100, 50
		whole := p.Bytes(Desc{Frame: i, Len: chunk})
		part := p.Data(i)
		if len(part) != 50 || cap(part) != 50 || &part[0] != &whole[100] {
			t.Errorf("frame %d: range of %d bytes, capacity %d", i, len(part), cap(part))
		}
		if whole[0] != byte(i) || whole[chunk-1] != byte(i) {
			t.Errorf("frame %d shares its bytes with another", i)
		}
	}
}

func TestMisuseIsFound(t *testing.T) {
	for name, misuse := range map[string]func(p *Pool){
		"release twice":         func(p *Pool) { i := p.Alloc(); p.Release(i); p.Release(i) },
		"retain a free frame":   func(p *Pool) { p.Retain(0) },
		"transmit a free frame": func(p *Pool) { p.Transmitting(0) },
		"transmit twice":        func(p *Pool) { i := p.Alloc(); p.Transmitting(i); p.Transmitting(i) },
		"transmit after release": func(p *Pool) {
			i := p.Alloc()
			p.Transmitting(i)
			p.Release(i)
			p.Transmitting(i)
		},
		"release what was filled": func(p *Pool) { p.Release(p.GiveToFill()) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: not noticed", name)
				}
			}()
			misuse(pool(t, 2))
		}()
	}
}

func TestCheckFindsLeaks(t *testing.T) {
	for name, damage := range map[string]func(p *Pool){
		"lost":           func(p *Pool) { p.free = p.free[:1] },
		"freed twice":    func(p *Pool) { p.free[0] = p.free[1] },
		"free and held":  func(p *Pool) { p.meta[p.free[0]].refs = 1 },
		"free and sent":  func(p *Pool) { p.meta[p.free[0]].kernel = inTX },
		"miscounted":     func(p *Pool) { p.nFill++ },
		"miscounted too": func(p *Pool) { p.nTX-- },
	} {
		p := pool(t, 4)
		damage(p)
		if p.Check() == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestReclaim(t *testing.T) {
	p := pool(t, 8)
	p.GiveToFill()
	both, sentOnly, held := p.Alloc(), p.Alloc(), p.Alloc()
	p.Transmitting(both)
	p.Transmitting(sentOnly)
	p.Release(sentOnly)
	p.Reclaim()
	account(t, p, Account{Free: 6, Held: 2})
	p.Release(both)
	p.Release(held)
	account(t, p, Account{Free: 8})
}

// TestRandomLives does what a stack and a kernel do, in random order, and compares the pool with a model of who has which frame.
func TestRandomLives(t *testing.T) {
	type life struct {
		refs     int
		fill, tx bool
	}
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		size := 1 + r.IntN(40)
		p := pool(t, size)
		model := make([]life, size)
		free := func() (n int) {
			for _, l := range model {
				if l == (life{}) {
					n++
				}
			}
			return n
		}
		for step := range 2000 {
			i := Index(r.IntN(size))
			l := &model[i]
			switch op := r.IntN(8); {
			case op == 0 || op == 1:
				nFree := free()
				if got := p.Alloc(); got != None {
					if model[got] != (life{}) {
						t.Fatalf("seed %d, step %d: allocated %d, which is %+v", seed, step, got, model[got])
					}
					model[got].refs = 1
				} else if nFree > 0 {
					t.Fatalf("seed %d, step %d: nothing allocated with %d free", seed, step, nFree)
				}
			case op == 2:
				if got := p.GiveToFill(); got != None {
					if model[got] != (life{}) {
						t.Fatalf("seed %d, step %d: filled %d, which is %+v", seed, step, got, model[got])
					}
					model[got].fill = true
				}
			case op == 3 && l.refs > 0:
				p.Retain(i)
				l.refs++
			case op == 4 && l.refs > 0:
				p.Release(i)
				l.refs--
			case op == 5 && l.refs > 0 && !l.tx:
				p.Transmitting(i)
				l.tx = true
			case op == 6:
				if got := p.Completed(i); got != l.tx {
					t.Fatalf("seed %d, step %d: completed %d: %v, which is %+v", seed, step, i, got, *l)
				}
				l.tx = false
			case op == 7:
				if got := p.Received(i, 0, 1); got != l.fill {
					t.Fatalf("seed %d, step %d: received %d: %v, which is %+v", seed, step, i, got, *l)
				}
				if l.fill {
					*l = life{refs: 1}
				}
			}
			var want Account
			for _, l := range model {
				switch {
				case l.refs > 0:
					want.Held++
				case l.fill:
					want.Fill++
				case l.tx:
					want.TX++
				default:
					want.Free++
				}
			}
			account(t, p, want)
			if p.InTransmission(i) != model[i].tx {
				t.Fatalf("seed %d, step %d: frame %d in transmission: %v", seed, step, i, p.InTransmission(i))
			}
		}
		p.Reclaim()
		for i, l := range model {
			for range l.refs {
				p.Release(Index(i))
			}
		}
		account(t, p, Account{Free: size})
	}
}

func TestPoolDoesNotAllocate(t *testing.T) {
	p := pool(t, 64)
	if allocs := testing.AllocsPerRun(1000, func() {
		i := p.Alloc()
		p.Retain(i)
		p.Transmitting(i)
		p.Release(i)
		p.Release(i)
		p.Completed(i)
		i = p.GiveToFill()
		p.Received(i, 256, 64)
		_ = p.Data(i)
		p.Release(i)
		_ = p.Account()
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkAllocRelease(b *testing.B) {
	b.ReportAllocs()
	p := pool(b, 64)
	for b.Loop() {
		p.Release(p.Alloc())
	}
}

// TestPart has a pool of a part of a UMEM: its addresses begin where the part does, and those of the other parts are nobody's.
func TestPart(t *testing.T) {
	const base, frames, size = 10 * 2048, 4, 2048
	p, err := NewPart(make([]byte, frames*size), size, base)
	if err != nil {
		t.Fatal(err)
	}
	if a := p.Addr(3, 7); a != base+3*size+7 {
		t.Errorf("address %d", a)
	}
	for _, c := range []struct {
		addr  uint64
		frame Index
		off   uint32
	}{
		{base, 0, 0}, {base + 3*size + 7, 3, 7}, {base - 1, None, 0}, {0, None, 0}, {base + frames*size, None, 0}, {1<<64 - 1, None, 0},
	} {
		if f, off := p.Locate(c.addr); f != c.frame || off != c.off {
			t.Errorf("address %d: byte %d of frame %d, want %d of %d", c.addr, off, f, c.off, c.frame)
		}
	}
	if _, err := NewPart(make([]byte, size), size, 100); !errors.Is(err, ErrMemory) {
		t.Errorf("a part that begins within a chunk: %v", err)
	}
}

// TestHolds: only AllocHolding keeps what a frame holds, and only if nobody has had the frame since.
func TestHolds(t *testing.T) {
	p := pool(t, 1)
	first := p.NewHoldings(3)
	if next := p.NewHoldings(1); first == 0 || next < first+3 {
		t.Errorf("numbers from %d for three, then from %d", first, next)
	}
	hold := func() {
		i := p.Alloc()
		p.Meta(i).Holds = first
		p.Transmitting(i)
		p.Release(i)
		p.Completed(i)
	}
	holds := func() uint32 {
		i := p.AllocHolding()
		defer p.Release(i)
		return p.Meta(i).Holds
	}
	hold()
	if got := holds(); got != first {
		t.Errorf("after it was sent the frame holds %d, want %d", got, first)
	}
	for name, use := range map[string]func(){
		"Alloc":    func() { p.Release(p.Alloc()) },
		"Received": func() { i := p.GiveToFill(); p.Received(i, 0, 1); p.Release(i) },
		"Reclaim":  func() { p.GiveToFill(); p.Reclaim() },
	} {
		hold()
		use()
		if got := holds(); got != 0 {
			t.Errorf("after %s the frame holds %d, want 0", name, got)
		}
	}
	if p.NewHoldings(1<<32-4) != 0 || p.NewHoldings(1<<31) == 0 || p.NewHoldings(1<<31) != 0 {
		t.Error("numbers were given out twice")
	}
}

package frame

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestRestore has a pool go through random steps, hands its memory over to another, and finds every frame accounted for once: what the
// kernel had is the new pool's to get back, what was held is the old one's.
func TestRestore(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		const frames = 61 // not a whole number of bytes
		memory := make([]byte, frames*2048)
		old, err := NewPool(memory, 2048)
		if err != nil {
			t.Fatal(err)
		}
		var held, filled, sent []Index
		take := func(list *[]Index) Index {
			if len(*list) == 0 {
				return None
			}
			n := r.IntN(len(*list))
			i := (*list)[n]
			*list = append((*list)[:n], (*list)[n+1:]...)
			return i
		}
		for range 300 {
			switch r.IntN(6) {
			case 0, 1:
				if i := old.Alloc(); i != None {
					held = append(held, i)
					old.Chunk(i)[7] = byte(i)
				}
			case 2:
				if i := old.GiveToFill(); i != None {
					filled = append(filled, i)
				}
			case 3:
				if i := take(&filled); i != None && old.Received(i, 0, 60) {
					held = append(held, i)
					old.Chunk(i)[7] = byte(i)
				}
			case 4:
				if i := take(&held); i != None {
					if !old.InTransmission(i) {
						old.Transmitting(i)
						sent = append(sent, i)
					}
					if r.IntN(2) == 0 {
						held = append(held, i)
					} else {
						old.Release(i)
					}
				}
			case 5:
				if i := take(&sent); i != None {
					old.Completed(i)
				}
			}
		}
		fill, tx := old.KernelFrames()
		private := make([]byte, len(memory))
		if n := old.CopyHeld(private); n != len(held) {
			t.Fatalf("seed %d: %d frames were copied, %d are held", seed, n, len(held))
		}
		young, err := NewPool(memory, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if err := young.Restore(fill, tx); err != nil {
			t.Fatal(err)
		}
		want := Account{Free: frames - len(filled) - len(sent), Fill: len(filled), TX: len(sent)}
		if got := young.Account(); got != want {
			t.Fatalf("seed %d: the new pool has %+v, want %+v", seed, got, want)
		}
		old.Moved()
		if got := old.Account(); got != (Account{Free: frames - len(held), Held: len(held)}) {
			t.Fatalf("seed %d: the old pool has %+v and %d are held", seed, got, len(held))
		}
		for _, i := range held {
			at := int(i) * 2048
			if !bytes.Equal(private[at:at+2048], old.Chunk(i)) {
				t.Fatalf("seed %d: frame %d was not copied", seed, i)
			}
		}
		for _, i := range filled {
			if !young.Received(i, 0, 60) {
				t.Fatalf("seed %d: frame %d cannot be received", seed, i)
			}
		}
		for _, i := range sent {
			if !young.Completed(i) || young.Completed(i) {
				t.Fatalf("seed %d: frame %d cannot be completed once", seed, i)
			}
		}
		for _, p := range []*Pool{old, young} {
			if err := p.Check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		fill, tx []byte
		before   int // frames that are taken before
	}{
		{"too short", make([]byte, 1), make([]byte, 2), 0},
		{"too long", make([]byte, 2), make([]byte, 3), 0},
		{"nothing", nil, nil, 0},
		{"in both", []byte{4, 0}, []byte{4, 0}, 0},
		{"beyond the pool", []byte{0, 4}, []byte{0, 0}, 0},
		{"a pool in use", []byte{0, 0}, []byte{0, 0}, 1},
	} {
		p, err := NewPool(make([]byte, 10*2048), 2048)
		if err != nil {
			t.Fatal(err)
		}
		for range c.before {
			p.Alloc()
		}
		want := p.Account()
		if err := p.Restore(c.fill, c.tx); err == nil {
			t.Errorf("%s: restored", c.name)
		}
		if got := p.Account(); got != want {
			t.Errorf("%s: %+v became %+v", c.name, want, got)
		}
	}
}

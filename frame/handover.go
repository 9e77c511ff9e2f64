package frame

import "fmt"

// KernelFrames returns which frames the kernel has, a bit for each, that of frame 0 the lowest of the first byte: those to receive into,
// and those to send. With them another process can go on with the memory: see Restore.
func (p *Pool) KernelFrames() (fill, tx []byte) {
	fill, tx = make([]byte, (len(p.meta)+7)/8), make([]byte, (len(p.meta)+7)/8)
	for i := range p.meta {
		switch k := p.meta[i].kernel; {
		case k&inFill != 0:
			fill[i/8] |= 1 << (i % 8)
		case k&inTX != 0:
			tx[i/8] |= 1 << (i % 8)
		}
	}
	return fill, tx
}

// Restore makes frames those of the kernel that another pool of the same memory said are, in a pool all of whose frames are free. What that
// pool's owners held is free here.
func (p *Pool) Restore(fill, tx []byte) error {
	if n := (len(p.meta) + 7) / 8; len(fill) != n || len(tx) != n {
		return fmt.Errorf("frame: %d and %d bytes for the state of %d frames, want %d", len(fill), len(tx), len(p.meta), n)
	}
	if len(p.free) != len(p.meta) {
		return fmt.Errorf("frame: of %d frames only %d are free before they are restored", len(p.meta), len(p.free))
	}
	has := func(set []byte, i int) bool { return set[i/8]>>(i%8)&1 != 0 }
	for i := range len(fill) * 8 {
		if f, t := has(fill, i), has(tx, i); f && t || (f || t) && i >= len(p.meta) {
			return fmt.Errorf("frame: frame %d of %d cannot be where it is said to be", i, len(p.meta))
		}
	}
	p.free = p.free[:0]
	for i := len(p.meta) - 1; i >= 0; i-- {
		switch m := &p.meta[i]; {
		case has(fill, i):
			m.kernel = inFill
			p.nFill++
		case has(tx, i):
			m.kernel = inTX
			p.nTX++
		default:
			p.free = append(p.free, Index(i))
		}
	}
	return nil
}

// CopyHeld copies the chunks of all held frames to another memory of the same size, each to its place, and returns their number.
func (p *Pool) CopyHeld(to []byte) (n int) {
	for i := range p.meta {
		if p.meta[i].refs == 0 {
			continue
		}
		at := uint64(i) << p.shift
		copy(to[at:at+uint64(p.size)], p.Chunk(Index(i)))
		n++
	}
	return n
}

// Moved is Reclaim after the pool's memory became another with the bytes of the held frames only: what free ones hold is not known any
// more.
func (p *Pool) Moved() {
	p.Reclaim()
	for i := range p.meta {
		if p.meta[i].refs == 0 {
			p.meta[i].Holds = 0
		}
	}
}

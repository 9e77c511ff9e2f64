package gen

import (
	"github.com/xdpstack/xdpstack/frame"
)

// holdings are the numbers by which a program knows its templates again in the frames of a pool: a frame that was sent and comes back
// still has the packet, and if the next one has the same template only what varies is written. The pool forgets what a frame holds when
// anybody else gets it: see frame.Pool.AllocHolding.
type holdings struct {
	pool  *frame.Pool
	off   uint32
	first uint32 // of as many numbers as the program has templates; 0: there were none left, and no frame is known
}

// number returns the number of a template, 0 if none has one.
func (h *holdings) number(v *variant) uint32 {
	if h.first == 0 {
		return 0
	}
	return h.first + v.index
}

// Write writes the next packets into frames: each descriptor says which and where the packet begins, at the same offset in all, and Write
// sets its length. Behind the offset a frame must have room for MaxLen bytes. It returns how many bytes the packets have.
//
// The frames belong to the caller, who has them from AllocHolding, or Alloc. Who writes to the packets afterwards sets Holds of their
// records to 0.
func (p *Program) Write(pool *frame.Pool, frames []frame.Desc, now uint64) (bytes int) {
	if len(frames) == 0 {
		return 0
	}
	if h := &p.holds; h.pool != pool || h.off != frames[0].Off {
		*h = holdings{pool, frames[0].Off, pool.NewHoldings(p.templates())}
	}
	for len(frames) > batch {
		bytes += p.write(frames[:batch], now)
		frames = frames[batch:]
	}
	return bytes + p.write(frames, now)
}

// templates returns how many templates the program has.
func (p *Program) templates() int {
	n := 0
	for i := range p.streams {
		n += len(p.streams[i].variants)
	}
	return n
}

// write is Write of one batch, stream by stream.
func (p *Program) write(frames []frame.Desc, now uint64) (bytes int) {
	if len(p.streams) == 1 {
		s := &p.streams[0]
		if len(s.turn) == 1 {
			return p.writeSame(s, frames, now)
		}
		for i := range frames {
			bytes += p.place(s, &frames[i], now)
		}
		p.finish(s, now)
		return bytes
	}
	const done = 1<<32 - 1
	whose := p.whose[:len(frames)]
	for i := range whose {
		whose[i] = p.round[p.at]
		if p.at++; p.at == len(p.round) {
			p.at = 0
		}
	}
	for i, which := range whose {
		if which == done {
			continue
		}
		s := &p.streams[which]
		for j := i; j < len(whose); j++ {
			if whose[j] == which {
				whose[j] = done
				bytes += p.place(s, &frames[j], now)
			}
		}
		p.finish(s, now)
	}
	return bytes
}

// writeSame is write for a stream whose packets have all one size, and so one template, when there is no other stream.
func (p *Program) writeSame(s *stream, frames []frame.Desc, now uint64) (bytes int) {
	w, v, pool := &p.work, &s.variants[0], p.holds.pool
	holds := p.holds.number(v)
	packets, variants := w.packets[:len(frames)], w.variants[:len(frames)]
	for i := range frames {
		d := &frames[i]
		d.Len = uint32(v.len)
		b := pool.Bytes(*d)
		packets[i] = b
		if variants[i] != v {
			variants[i] = v
		}
		if m := pool.Meta(d.Frame); m.Holds != holds || holds == 0 {
			v.copy(b)
			m.Holds = holds
		}
	}
	w.n = len(frames)
	p.finish(s, now)
	return len(frames) * int(v.len)
}

// place adds a packet to the work: it writes the template to the frame, unless that holds it, and returns the length.
func (p *Program) place(s *stream, d *frame.Desc, now uint64) int {
	w := &p.work
	v := s.variant(w.n)
	d.Len = uint32(v.len)
	b := p.holds.pool.Bytes(*d)
	m := p.holds.pool.Meta(d.Frame)
	if holds := p.holds.number(v); m.Holds != holds || holds == 0 {
		v.copy(b)
		m.Holds = holds
	}
	w.packets[w.n], w.variants[w.n] = b, v
	w.n++
	if uint64(w.n) == s.untilShift {
		p.finish(s, now)
	}
	return len(b)
}

// finish writes what varies of the work, and empties it.
func (p *Program) finish(s *stream, now uint64) {
	if w := &p.work; w.n > 0 {
		s.vary(w, now)
		s.skip(w.n)
		w.n = 0
	}
}

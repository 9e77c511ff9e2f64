package measure

import "math/bits"

// window is what is known of the last numbers of a sequence, those below next: which have come, which of them were the highest when
// they came, and when these came, counted in packets. Numbers are of 64 bits, far from 0, so that none wraps.
//
//	             first                                 next
//	               │                                     │
//	───────────────┼──────────┬──────────────────────────┼──────────► numbers
//	 not counted   │  fixed   │   one bit for each       │
//	               └──────────┴──────────────────────────┘
type window struct {
	came   []uint64 // a bit for each number
	peaks  []uint64 // likewise: it was the highest when it came
	at     []uint32 // of a number that was: how many packets had come
	mask   uint64
	first  uint64 // the lowest number that came, or should have
	next   uint64 // one more than the highest
	unique uint64 // how many have come, each counted once
	extent uint32 // of the last one that filled a gap
}

// place says where a number lies.
type place uint8

const (
	ahead    place     = iota // the next one, or after a gap
	gap                       // below the highest, and it had not come
	seen                      // it had come
	behind                    // below the window
	nearZero = 1 << 40        // where a sequence begins, in 64 bits
)

func (w *window) init(size int) {
	w.came, w.peaks = make([]uint64, size/64), make([]uint64, size/64)
	w.at, w.mask = make([]uint32, size), uint64(size-1)
}

// begin forgets everything and expects a number next.
func (w *window) begin(seq uint32) {
	clear(w.came)
	clear(w.peaks)
	w.first = nearZero + uint64(seq)
	w.next, w.unique = w.first, 0
}

// number returns a sequence number in 64 bits: the nearest to those that come now.
func (w *window) number(seq uint32) uint64 { return w.next + uint64(int64(int32(seq-uint32(w.next)))) }

// size is how many numbers have a bit.
func (w *window) size() uint64 { return w.mask + 1 }

// find says where a number lies.
func (w *window) find(n uint64) place {
	switch {
	case n >= w.next:
		return ahead
	case w.next-n > w.size():
		return behind
	case w.came[n&w.mask/64]&(1<<(n%64)) != 0:
		return seen
	}
	return gap
}

// take notes that a number has come which is ahead or in a gap.
func (w *window) take(n uint64) {
	if n < w.next {
		w.fill(n)
		return
	}
	w.skip(n)
	i, bit := n&w.mask/64, uint64(1)<<(n%64)
	w.came[i] |= bit
	w.peaks[i] |= bit
	w.at[n&w.mask] = uint32(w.unique)
	w.unique++
	w.next = n + 1
}

// skip clears the bits of the numbers from next up to n, with n.
func (w *window) skip(n uint64) {
	if n-w.next >= w.size() {
		clear(w.came)
		clear(w.peaks)
		return
	}
	for from := w.next; from <= n; {
		end := min(from|63, n) // of this word
		keep := ^(^uint64(0) << (from % 64) & (^uint64(0) >> (63 - end%64)))
		w.came[from&w.mask/64] &= keep
		w.peaks[from&w.mask/64] &= keep
		from = end + 1
	}
}

// fill notes that a number has come which is in a gap, and its extent: how many packets have come since the first that was higher,
// with itself (RFC 4737 section 4.2.2). That one was the highest when it came, and of all that were and are above n it is the
// lowest. The highest of all is among them, so there is one.
func (w *window) fill(n uint64) {
	w.came[n&w.mask/64] |= 1 << (n % 64)
	w.first = min(w.first, n)
	i := (n + 1) & w.mask / 64
	word := w.peaks[i] & (^uint64(0) << ((n + 1) % 64))
	for range len(w.peaks) {
		if word != 0 {
			break
		}
		i = (i + 1) % uint64(len(w.peaks))
		word = w.peaks[i]
	}
	higher := i*64 + uint64(bits.TrailingZeros64(word))&63
	w.extent = uint32(w.unique) - w.at[higher]
	w.unique++
}

// lost returns how many have not come of the numbers from the first to the highest.
func (w *window) lost() uint64 { return w.next - w.first - w.unique }

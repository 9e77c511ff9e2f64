package afxdp

// wakeup decides when the driver of a zero-copy queue has to be woken for a ring. Once it was, it goes on by itself until it has taken all
// that was there: what its card has no room for yet, it takes when the card has done with something. To wake it again before that costs a
// write to the card and an interrupt, for nothing. Drivers that only pretend to, and a link that comes back, are the reason for patience.
type wakeup struct {
	fresh int // entries that came after the driver was woken last
	waits int // and looks since then at which it had not taken the others
}

// wakeupPatience is how many looks are left out in a row while the driver is still to go on by itself.
const wakeupPatience = 64

// add notes new entries in a ring of the given size.
func (w *wakeup) add(n, size int) { w.fresh = min(w.fresh+n, size) }

// due reports whether the driver is to be woken, with so many entries left in the ring.
func (w *wakeup) due(left int) bool {
	if left == 0 {
		return false
	}
	if left > w.fresh && w.waits < wakeupPatience {
		w.waits++
		return false
	}
	return true
}

// done notes that the driver was woken; if that failed, the next look wakes it again.
func (w *wakeup) done(failed bool) {
	if !failed {
		w.fresh, w.waits = 0, 0
	}
}

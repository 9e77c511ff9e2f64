package afxdp

import "testing"

func TestWakeup(t *testing.T) {
	const size = 256
	var w wakeup
	look := func(what string, left int, want bool) {
		t.Helper()
		if got := w.due(left); got != want {
			t.Fatalf("%s: %d left: due is %v", what, left, got)
		}
	}
	look("nothing there", 0, false)
	w.add(64, size)
	look("the first entries", 64, true)
	w.done(true)
	look("after it failed", 64, true)
	w.done(false)
	look("the card is full", 64, false)
	w.add(64, size)
	look("some of the first are left", 65, false)
	look("only new ones are left", 64, true)
	w.done(false)
	look("all taken", 0, false)
	w.add(1, size)
	look("another one", 1, true)
	w.done(false)

	// A driver that does not go on is woken again, but not each time.
	woken := 0
	for range 10 * (wakeupPatience + 1) {
		if w.due(1) {
			woken++
			w.done(false)
		}
	}
	if woken != 10 {
		t.Errorf("woken %d times, want 10", woken)
	}

	for range 100 { // more than there are places, while no wake-up was needed
		w.add(64, size)
	}
	if w.fresh != size {
		t.Errorf("%d new entries in a ring of %d", w.fresh, size)
	}
}

package rawlink

import "testing"

// TestDue has an end send for the first time, and go on when all that it has sent is through, at the start of a window too.
func TestDue(t *testing.T) {
	e := &end{}
	if n := e.due(); n != batch {
		t.Errorf("at first %d frames are due, want %d", n, batch)
	}
	e.given = batch
	if n := e.due(); n != 0 {
		t.Errorf("before the first is through %d more are due, want none", n)
	}
	e.frames, e.given = 1000, 1000
	e.before = e.frames
	if n := e.due(); n != batch {
		t.Errorf("at the start of a window %d frames are due, want %d", n, batch)
	}
}

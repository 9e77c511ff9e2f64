package afxdp

import "testing"

// TestFillLevel has bursts come between refills, each taking so many of the frames that the kernel has.
func TestFillLevel(t *testing.T) {
	var l fillLevel
	refill := func(burst, times int) {
		for range times {
			l.target(l.now - min(burst, l.now))
		}
	}
	const most = 4096
	l.init(most)
	refill(64, 10*fillWindow)
	if l.now != most {
		t.Errorf("a zero-copy driver gets %d frames", l.now)
	}
	l.follows = true
	for _, c := range []struct{ burst, times, want int }{
		{0, fillWindow - 1, most},        // not for a moment's silence
		{32, 10 * fillWindow, fillLeast}, // short bursts, for long
		{fillLeast / 2, 10 * fillWindow, fillLeast},
		{fillLeast/2 + 1, 1, 2 * fillLeast}, // at once
		{4096, 1, 4 * fillLeast},
		{4096, 10, most},
		{most / 8, 10 * fillWindow, most}, // what is used stays
		{most/8 - 1, 2 * fillWindow, most / 2},
	} {
		if refill(c.burst, c.times); l.now != c.want {
			t.Errorf("after %d refills, each behind %d frames, the level is %d, want %d", c.times, c.burst, l.now, c.want)
		}
	}
	l.init(256)
	l.follows = true
	refill(10, 10*fillWindow)
	if l.now != 256 {
		t.Errorf("with 256 frames at most the level is %d", l.now)
	}
	refill(256, 10)
	if l.now != 256 {
		t.Errorf("with 256 frames at most the level is %d", l.now)
	}
}

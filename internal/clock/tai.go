package clock

import "golang.org/x/sys/unix"

// TAI converts times of the monotonic clock to CLOCK_TAI's, which other machines may have too. Both run equally fast; only what sets
// the second changes their difference, which is looked up now and then, because reading that clock is a system call. The zero TAI is
// ready. It is for one goroutine.
type TAI struct {
	difference uint64
	at         Time // when it was looked up
}

// taiPatience is how long a difference is believed, in ns.
const taiPatience = 100e6

// Convert returns the time by CLOCK_TAI, in ns, at a time that is the present one, or nearly.
func (t *TAI) Convert(now Time) uint64 {
	if now-t.at >= taiPatience || t.at == 0 {
		t.look()
	}
	return t.difference + uint64(now)
}

// look reads one clock between two looks at the other. The thread may be kept from its CPU in between: the shortest of some tries
// counts.
func (t *TAI) look() {
	shortest := Never
	for range 4 {
		var ts unix.Timespec
		before := Now()
		if unix.ClockGettime(unix.CLOCK_TAI, &ts) != nil { // there is none: never
			return
		}
		after := Now()
		if took := after - before; took < shortest {
			shortest = took
			t.difference, t.at = uint64(ts.Nano())-uint64(before+took/2), after
		}
	}
}

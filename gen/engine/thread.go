package engine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// prepareThread makes the calling thread, which is a worker's own, fit for exact times: bound to a CPU if one is given, and woken when it
// asks, not up to 50 µs later as is usual (timer slack, prctl(2)).
func prepareThread(cpu int) error {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // ns; without it sleeps are longer, and that is all
	if cpu < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("bind a worker to CPU %d: %w: name one that this process may use", cpu, err)
	}
	return nil
}

// tai converts the monotonic clock's time to CLOCK_TAI's, which others in the network may have too. Both run equally fast; only what sets
// the second changes their difference, which is looked up now and then, because reading this clock is a system call.
type tai struct {
	difference uint64
	at         clock.Time // when it was looked up
}

const taiPatience = 100e6 // ns

func (t *tai) convert(now clock.Time) uint64 {
	if now-t.at >= taiPatience || t.at == 0 {
		t.look()
	}
	return t.difference + uint64(now)
}

// look reads one clock between two looks at the other. The thread may be kept from its CPU in between: the shortest of some tries counts.
func (t *tai) look() {
	shortest := clock.Never
	for range 4 {
		var ts unix.Timespec
		before := clock.Now()
		if unix.ClockGettime(unix.CLOCK_TAI, &ts) != nil {
			return
		}
		after := clock.Now()
		if took := after - before; took < shortest {
			shortest = took
			t.difference, t.at = uint64(ts.Nano())-uint64(before+took/2), after
		}
	}
}

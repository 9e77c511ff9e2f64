package engine

import (
	"fmt"

	"golang.org/x/sys/unix"
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

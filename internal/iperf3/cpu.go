package iperf3

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// cpuTime is the processor time of this process at one moment.
type cpuTime struct {
	at           clock.Time
	user, system time.Duration
}

func readCPU() cpuTime {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it cannot fail for the process itself
	return cpuTime{at: clock.Now(), user: time.Duration(u.Utime.Nano()), system: time.Duration(u.Stime.Nano())}
}

// since returns the processor time since an earlier moment in percent of the time that passed. Like that of iperf3 it is the process's own:
// what the kernel does for it in interrupts is not in it.
func (c cpuTime) since(before cpuTime) (total, user, system float64) {
	passed := c.at.Sub(before.at)
	if passed <= 0 {
		return 0, 0, 0
	}
	user = 100 * float64(c.user-before.user) / float64(passed)
	system = 100 * float64(c.system-before.system) / float64(passed)
	return user + system, user, system
}

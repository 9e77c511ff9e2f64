package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns what this process has used.
func cpuTime() (c CPU) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		c = CPU{User: time.Duration(u.Utime.Nano()), System: time.Duration(u.Stime.Nano())}
	}
	return c
}

// Package clock defines the one notion of time that the stack uses.
//
// Time is passed as an argument everywhere: only the edges (a shard's run loop, the command, tests) call [Now]. A simulator
// drives the same code with times of its own making.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Time is a point of monotonic time in nanoseconds. The zero Time means "not set"; as an origin it has no meaning of its own,
// only differences do.
type Time int64

// Never is later than every time that occurs: the deadline of something that has none.
const Never Time = 1<<63 - 1

// Add returns the time d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the time that passed from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before reports whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// After reports whether t is later than u.
func (t Time) After(u Time) bool { return t > u }

// Millis returns t in whole milliseconds, wrapping as a 32-bit counter does: the clock of the TCP timestamps option
// (RFC 7323 section 4.1 asks for a tick between 1 ms and 1 s).
func (t Time) Millis() uint32 { return uint32(t / Time(time.Millisecond)) }

// origin is a moment, and atOrigin the system's monotonic clock then, ns.
var origin, atOrigin = time.Now(), monotonic()

func monotonic() Time {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // there is one
	return Time(ts.Nano())
}

// Now reads the system's monotonic clock, CLOCK_MONOTONIC, which counts from the system's start: all processes have the same time, so that
// one can go on where another ended, and so have BPF programs (bpf_ktime_get_ns).
func Now() Time { return Time(time.Since(origin)) + atOrigin }

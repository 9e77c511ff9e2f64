package load

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// closeTogether is how far apart two looks at a clock may be that stand for one.
const closeTogether = 20 * time.Microsecond

// clocks returns what the shards' clock and the time of day say at the same moment. A goroutine that is put aside between the looks at
// them, for 10 ms on a busy machine, would take times for others that are as far apart: then it looks again, a few times.
func clocks() (at clock.Time, day time.Time) {
	best := time.Duration(1<<63 - 1)
	for range 100 {
		before, now := clock.Now(), time.Now()
		if apart := clock.Now().Sub(before); apart < best {
			at, day, best = before, now, apart
		}
		if best < closeTogether {
			break
		}
	}
	return at, day
}

// clockOf returns the time of the shards' clock at which it is a given time of day.
func clockOf(t time.Time) clock.Time {
	at, day := clocks()
	return at.Add(t.Sub(day))
}

// dayOf returns the time of day of a time of the shards' clock.
func dayOf(t clock.Time) time.Time {
	at, day := clocks()
	return day.Add(t.Sub(at))
}

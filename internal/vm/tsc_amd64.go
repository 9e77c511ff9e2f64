package vm

import (
	"math"
	"time"
)

// readTSC reads the processor's time stamp counter.
func readTSC() uint64

// tscSample is how long the counter is watched.
const tscSample = 50 * time.Millisecond

// tscKHz measures the rate of this machine's time stamp counter, which is the rate of an emulated one too. The guest's kernel would
// measure it against an emulated timer: on a busy machine it was found to be 13 times too slow once, and all times in the guest were so
// much too short.
func tscKHz() int {
	start, from := together()
	time.Sleep(tscSample)
	end, to := together()
	return int(float64(to-from) / end.Sub(start).Seconds() / 1000)
}

// together reads clock and counter at the same time: of a few attempts the one that was interrupted least.
func together() (now time.Time, counter uint64) {
	shortest := uint64(math.MaxUint64)
	for range 10 {
		before, t := readTSC(), time.Now()
		if took := readTSC() - before; took < shortest {
			shortest, now, counter = took, t, before+took/2
		}
	}
	return now, counter
}

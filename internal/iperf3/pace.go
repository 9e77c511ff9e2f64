package iperf3

import (
	"math/bits"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// paceTick is how often a paced sender is looked at: iperf3's --pacing-timer.
const paceTick = time.Millisecond

// pace bounds what a sender writes (-b). Blocks are written whole, since an iperf3 that receives waits for all of one; what was missed is
// made up for, so that the mean rate is exact.
type pace struct {
	rate  uint64 // bytes per second; 0: no bound
	since clock.Time
	sent  uint64
}

// due reports whether the next block may be written now.
func (p *pace) due(now clock.Time) bool {
	high, low := bits.Mul64(p.rate, uint64(max(now.Sub(p.since), 0)))
	total, _ := bits.Div64(high%uint64(time.Second), low, uint64(time.Second))
	return p.sent <= total
}

// pacer has a shard look at its paced senders each tick, for as long as one of them sends.
func pacer(streams []*stream) stack.OnTurn {
	return func(shard *stack.Shard, now clock.Time) clock.Time {
		sending := false
		for _, s := range streams {
			if s.running {
				s.fill(now)
				sending = true
			}
		}
		if !sending {
			shard.SetOnTurn(nil)
			return clock.Never
		}
		return now.Add(paceTick)
	}
}

package afxdp

import "time"

// holdOff keeps a queue from kicking a device that has no room. In copy mode each such kick takes a packet from the TX ring and drops
// it (EBUSY), and as the packet is completed by that, a shard has reason to turn, and to kick, again at once. Without a pause it would
// throw away all that waits in the ring within microseconds: the SYNs of all connections that are being opened, or a flight of each,
// which then wait for a retransmission timeout though the device has long had room again.
//
// A pause is counted in flushes, for the queue has no clock, and is twice as long each time that the device still takes nothing. A sleep
// is part of it.
type holdOff struct {
	left   uint8 // flushes to leave out
	length uint8 // of the last pause
}

const (
	longestHoldOff = 64                    // flushes: some 30 µs of a shard that has nothing else to do
	holdOffTick    = 15 * time.Microsecond // of sleep are as good as a flush left out: 1 ms ends any pause
)

// full begins a pause. progress says that the device took packets before it was full again: then it is being emptied, and worth
// trying soon.
func (h *holdOff) full(progress bool) {
	if progress {
		h.length = 0
	}
	h.length = min(max(2*h.length, 1), longestHoldOff)
	h.left = h.length
}

// empty notes that the device took all there was.
func (h *holdOff) empty() { *h = holdOff{} }

// holds reports whether a flush is to be left out, and counts it.
func (h *holdOff) holds() bool {
	if h.left == 0 {
		return false
	}
	h.left--
	return true
}

// slept counts a sleep; below 0 is one without a bound.
func (h *holdOff) slept(d time.Duration) {
	if d /= holdOffTick; d < 0 || d >= time.Duration(h.left) {
		h.left = 0
	} else {
		h.left -= uint8(d)
	}
}

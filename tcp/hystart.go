package tcp

import "time"

// hyStart is HyStart++ (RFC 9406): it ends the first slow start before that overruns the path. When the least round-trip time of a
// round is clearly above that of the round before, a queue is building. Conservative Slow Start (CSS) then goes on at a quarter of
// the pace, to see whether the rise was only jitter:
//
//	slow start ── the RTT rises ─────────────────────► CSS ── for 5 rounds ─► congestion avoidance
//	           ◄─ it falls below that of CSS's start ──
//
// The RFC's bound L on what one ACK may add is infinite here, because one ACK can stand for all segments that a receiver took
// in a batch. Only ACKs that measure a round-trip time are samples.
type hyStart struct {
	end     Seq    // when this is acknowledged, the present round is over
	last    uint16 // least RTT of the last round, in units of hyStartUnit; 0: none
	least   uint16 // of the present round
	base    uint16 // of the round in which CSS began, when it did
	samples uint8  // in the present round, as far as they need to be counted
	css     uint8  // the round of CSS, from 1; 0: slow start
}

const (
	hyStartUnit = 32 * time.Microsecond // what a 16-bit number counts up to 2 s in

	// Section 4.3 of RFC 9406.
	hyStartMinThresh     = uint16(4 * time.Millisecond / hyStartUnit)
	hyStartMaxThresh     = uint16(16 * time.Millisecond / hyStartUnit)
	hyStartDivisor       = 8
	hyStartSamples       = 8
	hyStartGrowthDivisor = 4
	hyStartRounds        = 5
)

// onAck takes what an ACK says about the round-trip time and the round.
func (h *hyStart) onAck(a *Ack) {
	if a.RTT != 0 {
		h.sample(uint16(min(max(a.RTT/hyStartUnit, 1), 1<<16-1)), a)
	}
	if h.least|h.last != 0 && a.Una.GreaterEq(h.end) {
		h.last, h.least, h.samples, h.end = h.least, 0, 0, a.Nxt
		if h.css != 0 {
			h.css++
		}
	}
}

// sample takes a measurement. It counts as those that the merged ACKs would have given: they came together, and the last of them
// measures the least.
func (h *hyStart) sample(rtt uint16, a *Ack) {
	if h.least|h.last == 0 {
		h.end = a.Nxt // the first round
	}
	if h.least == 0 || rtt < h.least {
		h.least = rtt
	}
	if h.samples += max(a.ACKs, 1); h.samples < hyStartSamples {
		return
	}
	h.samples = hyStartSamples
	switch {
	case h.css != 0:
		if h.least < h.base {
			h.css = 0
		}
	case h.last != 0:
		thresh := min(max(h.last/hyStartDivisor, hyStartMinThresh), hyStartMaxThresh)
		if h.least >= h.last && h.least-h.last >= thresh {
			h.base, h.css = h.least, 1
		}
	}
}

// growth returns how much so many acknowledged bytes add to the window.
func (h *hyStart) growth(acked uint32) uint32 {
	if h.css != 0 {
		return acked / hyStartGrowthDivisor
	}
	return acked
}

// over reports whether slow start is.
func (h *hyStart) over() bool { return h.css > hyStartRounds }

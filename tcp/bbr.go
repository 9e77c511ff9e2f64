package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// bbr is BBR, version 1 (draft-cardwell-iccrg-bbr-congestion-control-00, and as Linux has it). It does not wait for losses but keeps a
// model of the path: the bottleneck's bandwidth is the most that was delivered in the last ten round trips, the propagation time is the
// least round trip of the last ten seconds. It paces at the bandwidth, and keeps twice the product of the two in flight at most:
//
//	STARTUP ── three rounds without a quarter more ──► DRAIN ── the queue is gone ──► PROBE_BW
//	   ▲       bandwidth                                                              │  ▲
//	   │                                      10 s without a lower round-trip time    │  │ 200 ms
//	   └──────────── the pipe was not full yet ────────── PROBE_RTT ◄─────────────────┘  │
//	                                                          └──────────────────────────┘
//
// What the draft says about when to begin and end these is in bbr_modes.go. Not implemented: the detection of policers, which Linux has
// added, and what versions 2 and 3 do about loss and ECN: marks are not answered, and a loss only by a round of packet conservation.
//
// Times are ticks of the delivery rate, bandwidths are in units of bbrUnit: both in 32 bits.
type bbr struct {
	minRTT   uint32    // RTprop, ticks; 0: not known
	minRTTAt uint32    // when it was measured
	probeEnd uint32    // PROBE_RTT: when it may end, if bbrHeld says that the time runs
	bw       [3]uint32 // the filter: the most that was delivered in bbrWindow rounds, the second best after it, the third
	bwRound  [3]uint16 // in which rounds that was
	round    uint16    // the number of the present round
	roundEnd uint32    // a segment that was sent when so much had been delivered ends the round
	cycleAt  uint32    // when the phase of PROBE_BW began
	prior    uint32    // the window before the recovery, or before PROBE_RTT
	full     uint32    // the bandwidth that a quarter more is wanted of
	rate     uint32    // the pacing rate; 0: not set yet
	aggAt    uint32    // ACKs are compared since then with what the bandwidth lets expect
	aggAcked uint32    // what they acknowledged
	agg      [2]uint32 // the most that was beyond that, in the last five to ten rounds, in two halves
	mode     bbrMode
	phase    uint8 // of PROBE_BW
	stalled  uint8 // rounds without a quarter more
	aggRound uint8 // rounds in the present half of agg
	flags    bbrFlags
	random   uint16
	at       uint32 // where the Core has it
}

type bbrMode uint8

const (
	bbrStartup bbrMode = iota
	bbrDrain
	bbrProbeBW
	bbrProbeRTT
)

type bbrFlags uint16

const (
	bbrStarted    bbrFlags = 1 << iota // the first sample has come
	bbrRoundStart                      // the present ACK begins a round
	bbrFull                            // the pipe was full once
	bbrHeld                            // PROBE_RTT has reached its small window
	bbrHeldRound                       // and a round has passed since
	bbrResumed                         // the connection was idle before it sent again
	bbrEntering                        // a fast recovery has begun, and no ACK was taken since
	bbrRecovering                      // a recovery is going on
	bbrConserve                        // as much is sent as arrives
	bbrAggSecond                       // the second half of agg is the present one
)

const (
	// bbrUnit is the unit of bandwidths, in bytes per second: 32 bits of it are 275 Gbit/s.
	bbrUnit = 8

	// bbrSecond converts: a bandwidth is bytes · bbrSecond / ticks.
	bbrSecond = uint64(time.Second>>rateShift) / bbrUnit

	bbrWindow   = 10 // rounds that the bandwidth is remembered for
	bbrMinRTT   = uint32(10 * time.Second >> rateShift)
	bbrProbe    = uint32(200 * time.Millisecond >> rateShift) // how long PROBE_RTT lasts
	bbrFewest   = 4                                           // segments in flight, at least
	bbrPhases   = 8
	bbrAggLimit = uint32(100 * time.Millisecond >> rateShift) // what is sent on top because of aggregation, at most

	// Gains, in 256ths.
	bbrOne  = 256
	bbrHigh = bbrOne*2885/1000 + 1 // 2/ln 2: the least that doubles the rate in each round
	bbrLow  = bbrOne * 1000 / 2885 // its inverse
	bbrCwnd = 2 * bbrOne
)

// bbrGains are the pacing gains of PROBE_BW's phases: one that asks for more, one that gives back what was queued, and the rest.
var bbrGains = [bbrPhases]uint16{bbrOne * 5 / 4, bbrOne * 3 / 4, bbrOne, bbrOne, bbrOne, bbrOne, bbrOne, bbrOne}

func (b *bbr) is(f bbrFlags) bool { return b.flags&f != 0 }

// set turns flags on or off.
func (b *bbr) set(f bbrFlags, on bool) {
	b.flags &^= f
	if on {
		b.flags |= f
	}
}

// pacingGain returns by what the bandwidth is multiplied to give the pacing rate, in 256ths.
func (b *bbr) pacingGain() uint32 {
	switch b.mode {
	case bbrStartup:
		return bbrHigh
	case bbrDrain:
		return bbrLow
	case bbrProbeBW:
		return uint32(bbrGains[b.phase])
	}
	return bbrOne
}

// cwndGain returns how many bandwidth-delay products may be in flight, in 256ths.
func (b *bbr) cwndGain() uint32 {
	switch b.mode {
	case bbrStartup, bbrDrain:
		return bbrHigh
	case bbrProbeBW:
		return bbrCwnd
	}
	return bbrOne
}

// bbrBegin makes the state that of a connection about whose path nothing is known but its window.
func (c *Congestion) bbrBegin() {
	b := c.bbr()
	*b = bbr{random: c.seed, prior: c.cwnd, at: b.at}
	c.ssthresh = infSsthresh
}

// bbrRate returns the pacing rate, in bytes per second. Before the first sample it is what sends the window in a round trip, or in a
// millisecond if that is not known either, by the gain of STARTUP.
func (c *Congestion) bbrRate(srtt time.Duration) uint64 {
	if b := c.bbr(); b.rate != 0 {
		return uint64(b.rate) * bbrUnit
	}
	if srtt <= 0 {
		srtt = time.Millisecond
	}
	return max(uint64(c.cwnd)*uint64(time.Second)/uint64(srtt)*bbrHigh/bbrOne, 1)
}

// bbrDelivered takes a sample of the delivery rate: the model, then what follows from it. It reports whether what is sent now is limited
// by less than the path: then samples of it are marked as if the application limited it.
func (c *Congestion) bbrDelivered(s *Delivery) (limited bool) {
	b, now := c.bbr(), rateTicks(s.Now)
	if !b.is(bbrStarted) {
		b.set(bbrStarted, true)
		b.minRTTAt, b.cycleAt, b.aggAt, b.roundEnd = now, now, now, s.Delivered
	}
	b.updateBandwidth(s)
	c.bbrAggregation(s, now)
	c.bbrCycle(s, now)
	b.checkFull(s)
	c.bbrCheckDrain(s, now)
	limited = c.bbrUpdateMinRTT(s, now)
	c.bbrSetRate(s.SRTT)
	c.bbrSetWindow(s)
	return limited
}

// updateBandwidth counts rounds and feeds the filter.
func (b *bbr) updateBandwidth(s *Delivery) {
	b.set(bbrRoundStart, false)
	if s.Interval == 0 {
		return
	}
	if int32(s.Prior-b.roundEnd) >= 0 {
		b.roundEnd = s.Delivered
		b.round++
		b.set(bbrRoundStart, true)
		b.set(bbrConserve, false)
	}
	bw := uint32(min(max(uint64(s.Bytes)*bbrSecond/uint64(s.Interval), 1), 1<<32-1))
	if !s.Limited || bw >= b.bw[0] {
		b.filter(bw)
	}
}

// filter is a windowed maximum: of the last bbrWindow rounds the best sample, the best after that one, and the best after both, so that
// there is another when the first becomes too old. They are also renewed when a quarter, or half, of the window has passed without a
// better one.
func (b *bbr) filter(bw uint32) {
	age := func(i int) uint16 { return b.round - b.bwRound[i] }
	from := func(i int) {
		for ; i < len(b.bw); i++ {
			b.bw[i], b.bwRound[i] = bw, b.round
		}
	}
	shift := func() {
		b.bw[0], b.bw[1], b.bw[2] = b.bw[1], b.bw[2], bw
		b.bwRound[0], b.bwRound[1], b.bwRound[2] = b.bwRound[1], b.bwRound[2], b.round
	}
	switch {
	case bw >= b.bw[0] || age(2) > bbrWindow:
		from(0)
		return
	case bw >= b.bw[1]:
		from(1)
	case bw >= b.bw[2]:
		from(2)
	}
	switch {
	case age(0) > bbrWindow:
		shift()
		if age(0) > bbrWindow {
			shift()
		}
	case b.bwRound[1] == b.bwRound[0] && age(0) > bbrWindow/4:
		from(1)
	case b.bwRound[2] == b.bwRound[1] && age(0) > bbrWindow/2:
		from(2)
	}
}

// bdp returns gain times the bandwidth-delay product, bytes.
func (c *Congestion) bbrProduct(gain uint32) uint32 {
	b := c.bbr()
	if b.minRTT == 0 {
		return c.initial
	}
	// A bandwidth of 32 bits, at most 24 bits of ticks.
	product := uint64(b.bw[0]) * uint64(min(b.minRTT, bbrMinRTT)) / bbrSecond
	return uint32(min(product*uint64(gain)/bbrOne, maxCwnd))
}

// bbrInflight returns how much in flight fills the path by so much: the product, and three bursts for what lies in either host at a time.
func (c *Congestion) bbrInflight(gain uint32) uint32 {
	b := c.bbr()
	burst := max(uint32(uint64(b.rate)*bbrUnit/1000), 2*c.mss)
	n := c.bbrProduct(gain) + 3*burst
	if b.mode == bbrProbeBW && b.phase == 0 {
		n += 2 * c.mss
	}
	return n
}

// bbrSetRate sets the pacing rate, a hundredth below what the model says so that no queue builds. Until the pipe was full it does not fall.
func (c *Congestion) bbrSetRate(srtt time.Duration) {
	b := c.bbr()
	if b.bw[0] == 0 {
		return
	}
	rate := uint64(b.bw[0]) * uint64(b.pacingGain()) / bbrOne * 99 / 100
	if b.is(bbrFull) || rate*bbrUnit > c.bbrRate(srtt) {
		b.rate = uint32(min(max(rate, 1), 1<<32-1))
	} else if b.rate == 0 {
		b.rate = uint32(min(c.bbrRate(srtt)/bbrUnit+1, 1<<32-1))
	}
}

// bbrIdle is called before the connection sends again after nothing was in flight: at the bandwidth and without a gain.
func (c *Congestion) bbrIdle(now clock.Time) {
	b := c.bbr()
	if !b.is(bbrStarted) {
		return
	}
	b.set(bbrResumed, true)
	b.aggAt, b.aggAcked = rateTicks(now), 0
	if b.mode == bbrProbeBW {
		b.rate = max(uint32(uint64(b.bw[0])*99/100), 1)
	}
}

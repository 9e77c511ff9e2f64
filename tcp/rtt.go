package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const (
	// initialRTO holds until the first measurement (RFC 6298 section 2.1).
	initialRTO = time.Second

	// lostSYNRTO is the initial timeout when the SYN or its answer was lost and nothing could be measured (section 5.7).
	lostSYNRTO = 3 * time.Second

	// rtoGranularity is the clock granularity G of section 2.3: the tick of the timer that the timeout will run on.
	rtoGranularity = time.Millisecond

	maxBackoff = 16 // doublings: more than any bound on the timeout allows
)

// RTT estimates the round-trip time and the retransmission timeout that follows from it (RFC 6298). The zero RTT has measured
// nothing. By Karn's rule the caller gives no sample of a segment that was sent twice, unless timestamps tell which of the two
// was acknowledged.
type RTT struct {
	srtt    time.Duration
	rttvar  time.Duration
	min     uint32 // the least sample of this window of time and the one before it, µs, rounded down
	newer   uint32 // and of this window alone
	next    Seq    // when more than this is acknowledged, the round trip is measured again; the connection's
	window  uint16 // which window that is, modulo 2^16
	backoff uint8  // how many times the timeout was doubled
	synLost bool
}

// minRTTWindow is how long the least sample counts, once or twice as long: then the path may have become a longer one for good (RFC 8985
// section 6.2, step 1, leaves a choice).
const minRTTWindow = time.Minute

// Sample takes one measurement. With timestamps there may be a measurement per ACK; expected says how many of them a round trip is
// likely to give, about half the segments in flight, and each then weighs less, so that the estimate's memory stays as long
// as RFC 6298 means it to be (RFC 7323 appendix G). An expected of 0 counts as 1.
func (r *RTT) Sample(rtt time.Duration, expected uint32, now clock.Time) {
	rtt = max(rtt, 1)
	us := uint32(min(rtt/time.Microsecond, 1<<32-1))
	window := uint16(time.Duration(now) / minRTTWindow)
	if r.srtt == 0 {
		r.srtt, r.rttvar = rtt, rtt/2
		r.min, r.newer, r.window = us, us, window
		return
	}
	n := time.Duration(max(expected, 1))
	diff := rtt - r.srtt
	r.rttvar += (max(diff, -diff) - r.rttvar) / (4 * n)
	r.srtt = max(r.srtt+diff/(8*n), 1)
	if window != r.window {
		r.min, r.newer, r.window = r.newer, us, window
	}
	r.min, r.newer = min(r.min, us), min(r.newer, us)
}

// Measured reports whether there was a sample.
func (r *RTT) Measured() bool { return r.srtt != 0 }

// SRTT returns the smoothed round-trip time, 0 before the first sample.
func (r *RTT) SRTT() time.Duration { return r.srtt }

// RTT returns the connection's smoothed round-trip time, 0 before the first sample.
func (c *Conn) RTT() time.Duration { return c.rtt.srtt }

// Var returns the round-trip time's variation.
func (r *RTT) Var() time.Duration { return r.rttvar }

// Min returns the least sample of the last minute or two, in whole microseconds; 0 if there was none.
func (r *RTT) Min() time.Duration { return time.Duration(r.min) * time.Microsecond }

// RTO returns the retransmission timeout, backed off as far as Backoff made it, within [lo, hi].
func (r *RTT) RTO(lo, hi time.Duration) time.Duration {
	rto := initialRTO
	switch {
	case r.srtt != 0:
		rto = r.srtt + max(rtoGranularity, 4*r.rttvar)
	case r.synLost:
		rto = lostSYNRTO
	}
	if rto = max(rto, lo); rto > hi>>r.backoff {
		return hi // without the shift, which may be beyond what a time.Duration can express
	}
	return rto << r.backoff
}

// Backoff doubles the timeout, after it expired (section 5.5).
func (r *RTT) Backoff() {
	if r.backoff < maxBackoff {
		r.backoff++
	}
}

// Backoffs returns how many times the timeout is doubled at present.
func (r *RTT) Backoffs() int { return int(r.backoff) }

// ResetBackoff takes the doublings back: new data was acknowledged, so the estimate holds again.
func (r *RTT) ResetBackoff() { r.backoff = 0 }

// SYNLost notes that the SYN had to be sent again.
func (r *RTT) SYNLost() { r.synLost = true }

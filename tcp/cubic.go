package tcp

import (
	"time"
	"unsafe"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// cubic is what CUBIC (RFC 9438) needs beyond the windows. After a loss the window follows a cubic function of time that is flat where
// the loss was and steep far from it, whatever the round-trip time:
//
//	cwnd │                             ╱   W_cubic(t) = C (t-K)³ + W_max
//	     │╲ loss                      │
//	W_max├ ╲─ ─ ─ ─ ─ ─ ─ ─ ───── ─ ─╱
//	     │  │          ╱╱╱   │   ╲╲╲╱    below W_max concave, above it convex
//	     │  │     ╱╱         │
//	     │  │  ╱             │
//	     │  │╱ cwnd_epoch    │
//	     └──┴────────────────┴─────────────► t
//	        0                K = ∛((W_max - cwnd_epoch) / C)
//
// Times are microseconds of the connection's clock, which wrap after 71 minutes: only their differences count.
//
// HyStart++ is over when the first threshold is known, and what comes after that is not needed before: they share their bytes.
type cubic struct {
	lossBased
	at    uint32    // up to when time counts in the epoch, see cubicSkip; 0: congestion avoidance has not begun
	wMax  uint32    // W_max, bytes; 0: not known
	later [3]uint32 // the hyStart of the first slow start, and the cubicLater of all after it
}

// cubicLater is what CUBIC needs once there is a threshold.
type cubicLater struct {
	origin     uint32 // when the function reaches wMax: the epoch's start + K
	wMaxBefore uint32 // what it was before the last reduction of the window
	wEst       uint32 // W_est: what Reno's window would be, bytes
}

const (
	_ = unsafe.Sizeof(cubic{}.later) - unsafe.Sizeof(hyStart{})
	_ = unsafe.Sizeof(cubic{}.later) - unsafe.Sizeof(cubicLater{})
)

// hystart returns the state of HyStart++, while ssthresh is infSsthresh.
func (u *cubic) hystart() *hyStart { return (*hyStart)(unsafe.Pointer(&u.later)) }

// after returns what is needed once ssthresh is known.
func (u *cubic) after() *cubicLater { return (*cubicLater)(unsafe.Pointer(&u.later)) }

// cubicSteps is in how many steps the estimate of Reno's window grows by a segment. With windows of few segments, whole ones would leave
// much of the growth between two losses unused.
const cubicSteps = 8

// cubicBeta returns beta·x for CUBIC's multiplicative decrease (RFC 9438 section 4.6).
func cubicBeta(x uint32) uint32 { return uint32(uint64(x) * 7 / 10) }

// cubicMicros returns a time as microseconds that are not 0.
func cubicMicros(t clock.Time) uint32 { return uint32(uint64(t)/uint64(time.Microsecond)) | 1 }

// cubicAck grows the window: in slow start as HyStart++ allows, after that towards where the cubic function will be in a round-trip
// time, but at least as fast as Reno would.
func (c *Congestion) cubicAck(a *Ack) {
	if a.InRecovery || a.Marked {
		return
	}
	acked, used := a.Acked, c.windowUsed()
	if c.cwnd < c.ssthresh {
		if acked = c.cubicSlowStart(a, used); acked == 0 {
			return
		}
	}
	now := cubicMicros(a.Now)
	if !used {
		c.cubicSkip(now)
		return
	}
	u := c.cubic()
	if u.at == 0 {
		c.cubicEpoch(now)
	}
	u.at = now
	c.cubicEstimate(acked)
	// RFC 9438 section 4.2: not below the window, and not more than half of it above.
	target := min(c.cubicWindow(now+uint32(a.SRTT/time.Microsecond)), c.cwnd+c.cwnd/2)
	if target > c.cwnd {
		c.cwnd += uint32(uint64(target-c.cwnd) * uint64(acked) / uint64(c.cwnd))
	}
	c.cwnd = min(max(c.cwnd, u.after().wEst), maxCwnd)
}

// cubicSlowStart grows the window in slow start and returns how many of the acknowledged bytes it has not used. In the first slow
// start, whose end nobody knows, HyStart++ looks for it.
func (c *Congestion) cubicSlowStart(a *Ack, used bool) uint32 {
	n := a.Acked
	if c.ssthresh == infSsthresh {
		u := c.cubic()
		h := u.hystart()
		h.onAck(a)
		if h.over() {
			// RFC 9438 section 4.10: cwnd_prior is the window, W_max is not known.
			c.ssthresh, u.before.cwnd = c.cwnd, c.cwnd
			u.wMax, u.at = 0, 0
			return n
		}
		n = h.growth(n)
	}
	if !used {
		return 0
	}
	room := c.ssthresh - c.cwnd
	if n < room {
		c.cwnd += n
		return 0
	}
	c.cwnd = c.ssthresh
	return n - room
}

// cubicEpoch begins congestion avoidance. When the window is as large as W_max was, or that is not known because of HyStart++ or a
// timeout, the function begins at its flat part, K = 0 (RFC 9438 sections 4.8, 4.10).
func (c *Congestion) cubicEpoch(now uint32) {
	u := c.cubic()
	l := u.after()
	l.wEst, u.acked = c.cwnd, 0
	switch {
	case u.wMax == 0:
		l.origin, u.wMax = now, c.cwnd
	case c.cwnd <= u.wMax:
		l.origin = now + 1000*cubicK(u.wMax-c.cwnd, c.mss)
	default: // A reduction was taken back: on with the convex part.
		l.origin = now - 1000*cubicK(c.cwnd-u.wMax, c.mss)
	}
}

// cubicSkip takes the time since the last call out of the epoch. The window was not used then, or nothing was in flight, and the
// function of time must not run ahead of what was tested (RFC 9438 section 4.2, 5.8).
func (c *Congestion) cubicSkip(now uint32) {
	if u := c.cubic(); u.at != 0 {
		u.after().origin += now - u.at
		u.at = now
	}
}

// cubicEstimate grows the estimate of Reno's window: by alpha segments for each window acknowledged, in steps of an eighth of a
// segment. With alpha = 3 (1-beta) / (1+beta) = 9/17 it has Reno's average with CUBIC's smaller decrease; from the window before the
// loss on it grows as Reno does (RFC 9438 section 4.3).
func (c *Congestion) cubicEstimate(acked uint32) {
	u := c.cubic()
	each := uint64(c.cwnd)
	l := u.after()
	if l.wEst < u.before.cwnd {
		each = each * 17 / 9
	}
	each /= cubicSteps
	n := uint64(u.acked) + uint64(acked)
	if n >= each {
		l.wEst = uint32(min(uint64(l.wEst)+n/each*uint64(c.mss)/cubicSteps, maxCwnd))
		n %= each
	}
	u.acked = uint32(n)
}

// cubicWindow returns W_cubic at a time, bytes.
func (c *Congestion) cubicWindow(t uint32) uint32 {
	const most = 1 << 20 // ms: 17 minutes from the flat part every window is at one of its bounds
	u := c.cubic()
	l := u.after()
	if int32(t-l.origin) > 1000*most {
		l.origin = t - 1000*most // or it would wrap
	}
	x := max(int64(int32(t-l.origin))/1000, -most)
	// With C = 0.4 segments/s³ and x in ms: C x³ = 4x³/10¹⁰ segments = 4x³/(10¹⁰/2¹⁰) of their 1024ths. x³ needs 60 bits.
	d := 4 * x * x * x / 9765625 * int64(c.mss) / 1024
	return uint32(min(max(int64(u.wMax)+d, 0), maxCwnd))
}

// cubicK returns how many milliseconds it takes the cubic function to cover so many bytes up to its flat part, or from there.
func cubicK(distance, mss uint32) uint32 {
	return cubeRoot(uint64(distance) * 2_500_000_000 / uint64(mss)) // segments / C in ms³
}

// cubeRoot returns the largest integer whose cube is not more than x.
func cubeRoot(x uint64) uint32 {
	const most = 2642245 // the root of 1<<64 - 1
	var r uint64
	for bit := uint64(1 << 21); bit != 0; bit >>= 1 {
		if n := r | bit; n <= most && n*n*n <= x {
			r = n
		}
	}
	return uint32(r)
}

// cubicReduce sets the threshold, and remembers in W_max where the loss was. If that is below the one before, capacity is shrinking and
// another flow may need some: fast convergence gives up more (RFC 9438 section 4.7).
func (c *Congestion) cubicReduce(l *Loss) {
	u := c.cubic()
	u.after().wMaxBefore = u.wMax // HyStart++ is over.
	if c.cwnd < u.wMax {
		u.wMax = uint32(uint64(c.cwnd) * 17 / 20) // (1 + beta) / 2
	} else {
		u.wMax = c.cwnd
	}
	c.ssthresh = max(cubicBeta(c.flightSize(l)), 2*c.mss)
	u.at = 0
}

// cubicLoss is section 4.6: the window becomes 0.7 of what was in flight.
func (c *Congestion) cubicLoss(l *Loss) {
	c.cubicReduce(l)
	c.cwnd = c.ssthresh
}

// cubicRTO is section 4.8: slow start up to 0.7 of what was in flight, and no W_max after that.
func (c *Congestion) cubicRTO(l *Loss) {
	c.cubicReduce(l)
	c.cubic().wMax = 0
}

// cubicSpurious returns to where the window was on the function before it was reduced: with the old W_max the epoch that begins now has
// such a K that the function goes on from the window as it is.
func (c *Congestion) cubicSpurious() {
	u := c.cubic()
	u.wMax, u.at = u.after().wMaxBefore, 0
	if c.ssthresh == infSsthresh {
		*u.hystart() = hyStart{} // Slow start is the first again.
	}
}

// cubicIdle takes the pause out of the epoch, or ends that if slow start is to find the way back.
func (c *Congestion) cubicIdle(now clock.Time, long bool) {
	u := c.cubic()
	c.cubicSkip(cubicMicros(now))
	if !long {
		return
	}
	if c.ssthresh == infSsthresh {
		*u.hystart() = hyStart{}
	}
	if c.cwnd >= c.ssthresh {
		return
	}
	u.at = 0
	if u.wMax < c.ssthresh {
		u.wMax = 0 // beyond it was new ground, which is not new again
	}
}

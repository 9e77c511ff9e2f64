package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Pacing spreads what the window allows over the round trip, so that it does not leave as a burst that overruns a short queue on the path.
// Each segment that is sent moves the time before which the next may not go, by what its payload takes at the pacing rate:
//
//	                  now - slack    now
//	paceAt, too old:  ▲              │      it is brought up to here, and a burst of the slack's worth may go
//	paceAt, recent:         ▲        │      the timer was late: what it missed is made up for
//	paceAt, ahead:                   │  ▲   data waits, and Deadline is here
//
// The timers of a shard have a resolution of about a millisecond. A connection that waited for its timer therefore sends what has
// become due since then at once: the burst is at most what the rate gives in paceSlack, and one segment, or two segments if that is more.
//
// Only data is paced, new or sent again. What is urgent goes at once and is charged to what follows: the first segment of a recovery or
// of a timeout, probes of the path's tail and of the peer's window; and a FIN, ACKs and resets, which are not charged.

// paceSlack is how far the time of the next segment may lie behind: the tick of the shards' timers, and how late those are on top.
const paceSlack = 1500 * time.Microsecond

// SetMaxPacingRate bounds how many bytes of payload are sent in a second, from now on, as Linux's SO_MAX_PACING_RATE does; 0 is no bound.
func (c *Conn) SetMaxPacingRate(rate uint64, now clock.Time) {
	c.ownConfig().MaxPacingRate = rate
	c.updatePaced()
	x := c.needRare()
	x.paceAt = min(x.paceAt, now) // What waits was timed by the old rate.
}

// updatePaced notes whether there is anything to be paced by.
func (c *Conn) updatePaced() {
	c.setFlag(flagPaced, c.cfg.Pacing || c.cfg.MaxPacingRate != 0 || c.cfg.algorithm.forcesPacing())
}

// PacingRate returns how many bytes of payload are sent in a second, at most; 0: as fast as the window allows, because the connection
// is not paced, or has not measured a round trip yet.
func (c *Conn) PacingRate() uint64 {
	if !c.is(flagPaced) {
		return 0
	}
	rate, most := uint64(0), c.cfg.MaxPacingRate
	if c.cfg.Pacing || c.cfg.algorithm.forcesPacing() {
		rate = c.cc.PacingRate(c.rtt.SRTT())
	}
	if rate == 0 || (most != 0 && most < rate) {
		return most
	}
	return rate
}

// pace notes that n bytes of payload were sent.
func (c *Conn) pace(n uint32, now clock.Time) {
	rate := c.PacingRate()
	if rate == 0 {
		return
	}
	takes := time.Duration(uint64(n) * uint64(time.Second) / rate) // n is less than 2¹⁶
	x := c.needRare()
	x.paceAt = max(x.paceAt, now.Add(-max(takes, paceSlack))).Add(takes)
}

// mayPace reports whether the pacing lets data go now.
func (c *Conn) mayPace(now clock.Time) bool { return !c.is(flagPaced) || c.rare().paceAt <= now }

// paceDeadline returns when data may go that waits for nothing but its time; clock.Never if there is none.
func (c *Conn) paceDeadline() clock.Time {
	d, at := &c.snd, c.rare().paceAt
	if at <= c.core.now || c.flags&(flagStarved|flagOverride|flagTailProbe) != 0 || (d.lost != 0 && c.is(flagForceLost)) {
		return clock.Never
	}
	if c.state < StateEstablished {
		if c.hasEarlyData() {
			return at
		}
		return clock.Never
	}
	if (d.lost != 0 && c.mayResend()) || c.newData() != 0 {
		return at
	}
	return clock.Never
}

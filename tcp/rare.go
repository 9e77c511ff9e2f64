package tcp

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// rare is the part of a connection that only losses, reordering and rare options need. It would be half of a million connections that
// have neither, so the Core keeps it: a connection is given a record when something is to be noted in it, and gives it back once there
// is nothing in it that is still needed. On the way of a segment in order it is not touched.
type rare struct {
	ooo      frame.List   // received out of order, sorted by sequence number, without overlaps
	oooHint  frame.Index  // where the last of it was put; frame.None: not known
	recvUp   Seq          // RCV.UP: after the last byte of urgent data, while receiver.urgent
	sackList [8]SACKBlock // runs in ooo, the one that grew last first (RFC 2018 section 4)
	again    SACKBlock    // what was received for the second time and is to be reported; empty: nothing
	sackLen  uint8

	lostHint frame.Index  // no frame before it is lost; frame.None: not known
	sackHint frame.Index  // where SACK blocks were last marked; frame.None: nowhere
	arrived  uint32       // segments in the send queue that are SACKed
	flight   uint32       // bytes outstanding when the probe was sent, or not known to have arrived when the recovery began
	recover  Seq          // SND.NXT when the present recovery began, or the probe was sent: that is over when this is acknowledged
	cwrEnd   Seq          // SND.NXT when the window was last reduced, with ECN
	resentTS uint32       // timestamp of the first retransmission of the recovery; 0: none yet
	resetSeq Seq          // of the reset that is due by dueBareReset
	sendUp   Seq          // SND.UP: after the last byte of urgent data, while sender.urgent
	reported [4]SACKBlock // the SACK blocks of the last ACK that had any: they are marked already
	prr      prr
	rack     rack

	pool   clock.Time // when to look again whether the pool has frames; clock.Never: nothing waits for them
	paceAt clock.Time // data does not go out before this, if the connection is paced
}

// rest makes the record one in which nothing is noted, of a connection whose SND.UNA is una.
func (x *rare) rest(una Seq) {
	*x = rare{oooHint: frame.None, lostHint: frame.None, sackHint: frame.None, recover: una - 1, cwrEnd: una - 1, pool: clock.Never}
	x.ooo.Init()
	x.rack.forgetSent()
}

// hasRare reports whether the connection has a record of its own.
func (c *Conn) hasRare() bool { return c.rareAt != 0 }

// rare returns the connection's record to be read, or one at rest that all share: who writes uses needRare, or has asked hasRare.
func (c *Conn) rare() *rare { return c.core.rares.at(c.rareAt) }

// needRare returns the connection's record to be written.
func (c *Conn) needRare() *rare {
	if c.rareAt == 0 {
		c.rareAt = c.core.rares.alloc()
		c.rare().rest(c.snd.una)
	}
	return c.rare()
}

// dropRare gives the record back.
func (c *Conn) dropRare() {
	if c.rareAt != 0 {
		c.core.rares.release(c.rareAt)
		c.rareAt = 0
	}
}

// mayRest gives the record back if nothing in it is needed any more.
func (c *Conn) mayRest() {
	if c.hasRare() && c.rests() {
		c.dropRare()
	}
}

// rests reports whether nothing in the record is needed any more.
func (c *Conn) rests() bool {
	d, r, x := &c.snd, &c.rcv, c.rare()
	switch {
	case !x.ooo.Empty() || c.reports() || r.urgent || d.urgent || c.due&dueBareReset != 0:
		return false
	case d.troubled() || d.probe != probeNone || x.arrived != 0 || x.rack.oldest != frame.None || x.sackHint != frame.None:
		return false
	case x.pool != clock.Never || c.is(flagPaced):
		return false
	case !c.is(flagSACK) && c.recoveredTo():
		return false // Duplicate ACKs may be about it still.
	case c.reducedAfter(d.una+1) || c.history().learnt.persist != 0 && d.una.LessEq(x.rack.dsackEnd):
		return false
	}
	return true
}

// hasHole reports whether something lies behind a hole in what was received.
func (c *Conn) hasHole() bool { return c.hasRare() && !c.rare().ooo.Empty() }

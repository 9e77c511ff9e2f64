package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// probe is the state of a tail loss probe (RFC 8985 section 7): when the last segments of a flight are lost, no ACK tells so. After
// two round trips of silence one segment goes out, new or the last one again; what the ACK of it says starts an ordinary
// recovery, without the wait for the retransmission timer and the slow start that follows one.
type probe uint8

const (
	probeNone  probe = iota
	probeNew         // the probe was new data: its ACK needs no interpretation
	probeAgain       // the probe was sent before: if nobody got it twice, it repaired a loss
)

// probeSlack is added to a probe's timeout of two round trips: what timers and batches at both ends may add to the second.
const probeSlack = 2 * time.Millisecond

// armProbe starts the probe's timer anew, if a probe is of use: both ends take SACK, nothing is being repaired, and no other probe
// is out (RFC 8985 section 7.2). It shares the timer with detectLost, which needs it only when this does not.
func (c *Conn) armProbe(now clock.Time) {
	d := &c.snd
	if !c.is(flagSACK) || d.sacked|d.lost|uint32(d.recovery)|uint32(d.probe) != 0 || c.is(flagProbing) {
		return
	}
	// The round trip must have been measured since the last probe, or since the beginning (section 7.3): what is sent twice cannot
	// be measured, and a path that became slower would be probed for ever. Without that, and as long as the timer of what was sent
	// twice is backed off, the retransmission timer will do.
	if !c.rtt.Measured() || c.is(flagProbed) || d.retries != 0 {
		return
	}
	wait := 2*c.rtt.SRTT() + probeSlack
	if c.outstanding() <= uint32(d.mss) {
		wait += c.cfg.MinRTO // The peer may delay the ACK of a single segment by as much.
	}
	c.timers.loss = min(now.Add(wait), c.timers.rtx)
}

// lossExpired is called when the timer expired that armProbe or detectLost started.
func (c *Conn) lossExpired(now clock.Time) {
	d := &c.snd
	if d.troubled() {
		c.reorderTimeout(now)
		return
	}
	if c.outstanding() == 0 || d.wnd == 0 || d.probe != probeNone || c.gaveUp(now) {
		return
	}
	c.sendProbe(now)
	// The timer that ran out may be the retransmission timer's too: the probe goes first (section 7.3).
	c.armRetransmit(now)
}

// sendProbe has a segment go out: new data if there is some that the peer's window takes, else the last segment again.
func (c *Conn) sendProbe(now clock.Time) {
	d := &c.snd
	c.core.Stats.TailProbes++
	c.set(flagProbed)
	x := c.needRare()
	x.recover, d.probe, x.flight = d.nxt, probeNew, c.outstanding()
	if d.unsent != frame.None && c.maySendData() {
		c.set(flagTailProbe)
		if c.sendable() != 0 {
			return
		}
		c.clear(flagTailProbe)
	}
	d.probe = probeAgain
	if last := c.lastSent(); last != frame.None {
		c.markLost(last)
		c.set(flagForceLost)
	} else if c.is(flagFINSent) {
		c.due |= dueFIN
	}
}

// probeAnswered looks at what an ACK says about the probe that is out (section 7.4.2). acked is what it acknowledged that was not
// before.
func (c *Conn) probeAnswered(s *Segment, acked uint32, now clock.Time) {
	d, x := &c.snd, c.rare()
	if s.Ack.Less(x.recover) {
		return
	}
	switch {
	case d.probe == probeNew:
	case reportsDuplicate(s) && s.SACK[0].End.GreaterEq(x.recover-1): // it is the probe that arrived twice, perhaps with a FIN
	case s.Ack.Greater(x.recover):
		// All of it arrived and nothing twice, so the probe repaired the loss of what it repeated: a loss like others, for the window
		// (section 7.4). What was in flight then is what the path could not take, whatever was sent since.
		c.core.Stats.TailLosses++
		if d.recovery == recoveryNone {
			c.reduceForLoss(x.flight, now)
		}
	case acked == 0 && s.NumSACK == 0 && s.PayloadLen == 0:
		// The duplicate ACK of a probe that was superfluous, from a peer that does not send D-SACKs.
	default:
		return
	}
	d.probe = probeNone
}

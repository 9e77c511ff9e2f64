package tcp

import (
	"fmt"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// MTUProbing says when a connection finds out by itself how large segments may be: packetization layer path MTU discovery (RFC 4821).
// It needs no ICMP, which many networks drop.
type MTUProbing uint8

// The modes.
const (
	// MTUProbingBlackHole begins with the largest segments that both ends take. If such a segment is lost again and again, they become
	// small, and probes find what passes.
	MTUProbingBlackHole MTUProbing = iota
	// MTUProbingAlways begins with segments that pass nearly everywhere, and probes for larger ones at once.
	MTUProbingAlways
	// MTUProbingOff believes ICMP only, and tries the largest segments again ten minutes after a message.
	MTUProbingOff
)

var mtuProbingNames = [...]string{MTUProbingBlackHole: "black-hole", MTUProbingAlways: "always", MTUProbingOff: "off"}

// String returns the mode's name.
func (m MTUProbing) String() string {
	if int(m) < len(mtuProbingNames) {
		return mtuProbingNames[m]
	}
	return fmt.Sprintf("MTUProbing(%d)", uint8(m))
}

const (
	// baseMSS is the MSS that a search begins with: the eff_pmtu of RFC 4821 section 7.2 as Linux has it. floorMSS is the one after that,
	// if full segments are lost again and again still: what every IPv4 host takes (RFC 9293 section 3.7.1).
	baseMSS  = 1024
	floorMSS = 512

	// blackHoleTimeouts is how many timeouts of the same full segment mean that segments of its size do not pass: Linux's number. On a
	// path that loses one segment in seven, two are no rarity.
	blackHoleTimeouts = 3

	// probeStep ends a search: what is left to find, in bytes, is worth no further probe.
	probeStep = 8

	// probeCompany is how many full segments must be ready to follow a probe, so that its loss is found without a timeout.
	probeCompany = 4
)

// blackHole is called when the retransmission timer has expired: if that happened again and again to a full segment, segments become
// smaller. They grow again at once, by probes: if it was the path that was gone, the first few bring the old size back.
func (c *Conn) blackHole(now clock.Time) {
	d, h := &c.snd, &c.snd.path
	f := d.queue.Front()
	if f == d.unsent || c.cfg.MTUProbing == MTUProbingOff {
		return
	}
	m := c.core.Pool.Meta(f)
	if m.Flags&metaProbe != 0 {
		c.probeFailed(h.probe, now)
		return
	}
	least := uint16(0)
	switch d.retries + 1 {
	case blackHoleTimeouts:
		least = baseMSS - c.optionsLen()
	case 2 * blackHoleTimeouts:
		least = floorMSS - c.optionsLen()
	default:
		return
	}
	if _, n := c.segmentEnd(f); d.mss <= least || n <= uint32(least) {
		return
	}
	h.high, h.at = max(h.high, d.mss), pathTicks(now)
	c.resize(least)
	c.core.Stats.PathMTUBlackHoles++
}

// probeSize returns how many bytes of new data may go out in one segment to find out whether the path takes it; 0 is none now. It is
// called when a full segment may be sent, and segments could be larger.
func (c *Conn) probeSize(now clock.Time) uint32 {
	d, h := &c.snd, &c.snd.path
	if int16(pathTicks(now)-h.at) < 0 || h.probe != 0 || d.troubled() || d.probe != probeNone {
		return 0
	}
	if d.mss >= h.high {
		h.high = h.most // The last search is long over.
	}
	if c.cfg.MTUProbing == MTUProbingOff {
		c.resize(h.most)
		return 0
	}
	n := uint32(h.high)
	if h.high-d.mss > probeStep {
		n = uint32(c.core.evenMSS(uint16((uint32(d.mss) + n + 1) / 2)))
	}
	need := n + probeCompany*uint32(d.mss)
	usable, window := d.una.Add(d.wnd).Sub(d.nxt), c.sendWindow()
	if c.notSent() < int(need) || usable < int32(n) || d.wnd < need || window < need || c.inFlight()+n > window {
		return 0
	}
	return n
}

// gather makes the first unsent frame, or as many as a segment has, hold at least n bytes, with the beginning of those that follow. It
// reports false if there is no room for that.
func (c *Conn) gather(n uint32) bool {
	k := c.core
	f := c.snd.unsent
	for frames := uint8(1); ; frames++ {
		m := k.Pool.Meta(f)
		here := min(n, uint32(k.Pool.ChunkSize())-m.Off)
		c.fillUp(f, m, here)
		if m.Len >= n {
			return true
		}
		if m.Len < here || m.Next == frame.None || frames == k.maxFrames {
			return false
		}
		n -= m.Len
		f = m.Next
	}
}

// fillUp has an unsent frame with the record m take from those that follow it, until it holds n bytes.
func (c *Conn) fillUp(f frame.Index, m *frame.Meta, n uint32) {
	k, d := c.core, &c.snd
	for m.Len < n && m.Next != frame.None {
		g := m.Next
		gm := k.Pool.Meta(g)
		taken := k.appendPayload(f, n-m.Len, k.Pool.Data(g))
		if taken == gm.Len {
			d.queue.Remove(k.Pool, g)
			k.Pool.Release(g)
			continue
		}
		gm.Off, gm.Len, gm.Seq, gm.Sum = gm.Off+taken, gm.Len-taken, gm.Seq+taken, 0
	}
}

// noteProbe notes that the segment of n bytes that is being sent is a probe; m is the record of its first frame.
func (c *Conn) noteProbe(m *frame.Meta, n uint32) {
	m.Flags |= metaProbe
	c.snd.path.probe = uint16(n)
	c.core.Stats.PathMTUProbes++
}

// probeArrived takes the news that the path takes segments of the probe's size.
func (c *Conn) probeArrived(m *frame.Meta) {
	h := &c.snd.path
	m.Flags &^= metaProbe
	c.resize(min(h.probe, h.most))
	h.probe = 0
	if c.snd.mss >= h.high {
		h.at = pathTicks(c.core.now) + raiseAfter
	}
}

// probeLost is called when losses were found while a probe of that size was out. If the probe is what was lost, and nothing else was,
// it was too large: it is sent again in smaller segments, and that is no sign of congestion (RFC 4821 section 7.6.1). If more
// was lost, nothing is known about it, and another will go out.
func (c *Conn) probeLost(size uint16, now clock.Time) bool {
	d := &c.snd
	if d.path.probe != 0 || d.mss >= size || d.recovery != recoveryNone || d.lost != uint32(size) {
		return false // It is still out, has arrived, or is not alone.
	}
	c.probeFailed(size, now)
	c.resend()
	return true
}

// probeFailed notes that segments of that size do not pass.
func (c *Conn) probeFailed(size uint16, now clock.Time) {
	d, h := &c.snd, &c.snd.path
	c.core.Stats.PathMTUProbesLost++
	if size >= h.high {
		h.high, h.at = d.mss, pathTicks(now)+raiseAfter
		return
	}
	h.high = max(size-1, d.mss)
}

package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// minPathMTU is the least path MTU that is believed: a smaller one costs more than it can be worth (RFC 9293 section 3.7.2, RFC
// 5927 section 7), in bytes.
const minPathMTU = 552

// leastMTU is what every link takes (RFC 791): a message with less says the impossible.
const leastMTU = 68

// pathHeaders are the bytes of a packet that the MSS does not count.
const pathHeaders = 20 + MinHeaderLen

// path is what is known about how large segments may be, besides sender.mss, which passes: payload of full segments, in bytes, less
// than the MSS by the options that each carries.
//
//	  mss               high           most
//	───┼──────────────────┼──────────────┼────►
//	   │ may pass: probes │ did not pass │ more than both ends take
//	   │ find out         │ last time    │
type path struct {
	most  uint16
	high  uint16
	probe uint16 // of the probe that is out, 0: none is. In SYN-SENT the least MSS that ICMP messages left, 0: none came
	at    uint16 // when larger segments are tried, in pathTicks
}

const (
	// pathTick is the tick of the clock that says when larger segments are tried. It wraps after 12 days.
	pathTick = 16 * time.Second

	// raiseAfter is how long a size that did not pass is not tried again, at least ten minutes: routes change (RFC 1191 section 6.3, RFC
	// 4821 section 7.3).
	raiseAfter = 39
)

func pathTicks(now clock.Time) uint16 { return uint16(now / clock.Time(pathTick)) }

// optionsLen returns how many bytes of the MSS the options take that every segment carries.
func (c *Conn) optionsLen() uint16 {
	if c.is(flagTS) {
		return optTimestampsLen + 2
	}
	return 0
}

// setMSS takes the largest payload that the peer accepts. A full segment has less by the options that each carries (RFC 9293
// section 3.7.1: the effective send MSS, RFC 6691).
func (c *Conn) setMSS(peer uint16) {
	h := &c.snd.path
	h.most = c.core.evenMSS(min(peer, c.cfg.MSS) - c.optionsLen())
	n := h.most
	if h.probe != 0 {
		n = c.core.evenMSS(min(n, h.probe-c.optionsLen()))
	}
	h.high, h.probe = n, 0
	if c.cfg.MTUProbing == MTUProbingAlways {
		n, h.high, h.at = min(n, baseMSS-c.optionsLen()), h.most, pathTicks(c.core.now)
	}
	c.snd.mss = n
}

// limitMSS takes a bound on the payload of a full segment that the application chose.
func (c *Conn) limitMSS(n uint16) {
	h := &c.snd.path
	n = c.core.evenMSS(n)
	h.most, h.high = min(h.most, n), min(h.high, n)
	if n < c.snd.mss {
		c.resize(n)
	}
}

// resize makes n bytes the payload of a full segment.
func (c *Conn) resize(n uint16) {
	c.snd.mss = n
	c.cc.SetMSS(uint32(n))
}

// pathMTU makes segments small enough for a path of that MTU and sends again what was lost to it (RFC 1191).
func (c *Conn) pathMTU(mtu uint32, now clock.Time) {
	d, h := &c.snd, &c.snd.path
	if mtu < leastMTU {
		c.core.Stats.ICMPIgnored++
		return
	}
	mss := uint16(min(max(mtu, minPathMTU)-pathHeaders, 1<<16-1))
	if c.state == StateSynSent {
		c.pathMTUOpening(mss, now)
		return
	}
	n := c.core.evenMSS(mss - c.optionsLen())
	switch {
	case n < d.mss:
	case n < h.probe:
		h.high = n // The probe was too large, and this is what passes.
		if n == d.mss {
			h.at = pathTicks(now) + raiseAfter // Nothing larger: the search is over, as when a probe of the last size is lost.
		}
		c.loseLonger(d.mss)
		return
	default:
		c.core.Stats.ICMPIgnored++
		return
	}
	c.core.Stats.PathMTUReductions++
	c.resize(n)
	h.high, h.at = n, pathTicks(now)+raiseAfter
	c.loseLonger(n)
}

// LimitMTU makes segments small enough for packets of mtu bytes, as an ICMP message of a router would, but from who knows: the link's MTU
// has changed, or the route's.
func (c *Conn) LimitMTU(mtu uint32, now clock.Time) {
	mss := uint16(min(max(mtu, minPathMTU)-pathHeaders, 1<<16-1))
	switch {
	case c.state == StateClosed:
	case c.state == StateSynSent && (mss >= c.cfg.MSS || c.snd.path.probe != 0 && mss >= c.snd.path.probe):
	case c.state != StateSynSent && c.core.evenMSS(mss-c.optionsLen()) >= c.snd.mss:
	default:
		c.pathMTU(mtu, now)
	}
}

// announced returns the MSS that a SYN announces, of that which is configured.
func (k *Core) announced(mss uint16) uint16 {
	if k.LinkMSS != 0 {
		mss = min(mss, k.LinkMSS)
	}
	return mss
}

// pathMTUOpening takes a message about the SYN, while the peer's MSS and options are not known yet.
func (c *Conn) pathMTUOpening(mss uint16, now clock.Time) {
	h := &c.snd.path
	if mss >= c.cfg.MSS || h.probe != 0 && mss >= h.probe {
		c.core.Stats.ICMPIgnored++
		return
	}
	c.core.Stats.PathMTUReductions++
	h.probe, h.at = mss, pathTicks(now)+raiseAfter
	c.snd.mss = min(c.snd.mss, c.core.evenMSS(mss-c.optionsLen()))
}

// loseLonger takes segments of more than n bytes as lost, and has them sent again. That says nothing about the path's capacity.
func (c *Conn) loseLonger(n uint16) {
	d, p := &c.snd, c.core.Pool
	for f := d.queue.Front(); f != d.unsent; {
		end, length := c.segmentEnd(f)
		for ; f != end; f = p.Meta(f).Next {
			if length > uint32(n) {
				c.markLost(f)
			}
		}
	}
	c.resend()
}

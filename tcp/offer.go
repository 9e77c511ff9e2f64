package tcp

import "github.com/xdpstack/xdpstack/internal/clock"

// Offer is what the SYN-ACKs of a listener offer that bring cookies: with the secret of its Keys all that another must know to send
// them in its place, as the steering program does under a flood.
type Offer struct {
	Window     uint16 // bytes; never scaled
	MSS        uint16 // bytes
	WScale     int8   // -1: no window scaling
	SACK       bool
	Timestamps bool // without them a cookie holds no other option
	ECN        bool
	ECT0       bool // a SYN-ACK that agrees to ECN is ECN-capable itself (RFC 8257 section 3.6)
}

// Offer returns what the listener offers; ok is false if it sends no cookies.
func (l *Listener) Offer() (o Offer, ok bool) {
	o = Offer{
		Window: l.window(0), MSS: l.cfg.MSS, WScale: -1, SACK: !l.cfg.NoSACK, Timestamps: !l.cfg.NoTimestamps,
		ECN: l.cfg.ECN != ECNOff, ECT0: l.cfg.algorithm == DCTCP,
	}
	if !l.cfg.NoWindowScale {
		o.WScale = int8(l.cfg.scale())
	}
	return o, l.cookies != CookiesNever && !l.closed
}

// CookiesSent notes that another sent cookies of the listener's at a time: they may come back.
func (l *Listener) CookiesSent(at clock.Time) {
	l.cookiesUntil = max(l.cookiesUntil, at.Add(2*cookiePeriod))
}

// LastCookie returns when the listener sent a cookie last, as far as it matters for those that come back; 0: it has sent none.
func (l *Listener) LastCookie() clock.Time {
	if l.cookiesUntil == 0 {
		return 0
	}
	return l.cookiesUntil.Add(-2 * cookiePeriod)
}

// Pressed reports whether so large a part of the half-open records is used that the listener sends cookies, or will soon.
func (l *Listener) Pressed() bool { return l.cookies != CookiesNever && l.syns.n >= l.syns.limit/4*3 }

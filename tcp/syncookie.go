package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// A SYN cookie is an initial sequence number that holds what the listener must know of a SYN that it does not remember (RFC 4987
// section 3.6). It is a keyed hash of the flow, the peer's initial number and the time, plus a small number, which names an
// MSS: of 2^32 numbers, an attacker's guess has 16 that are valid at a time. With timestamps the low bits of the SYN-ACK's
// timestamp, which the peer echoes, hold the other options, so that a connection under attack loses none.

// cookiePeriod is the unit of time in a cookie. A cookie is good in the period in which it was made and in the next: for at least
// one period.
const cookiePeriod = 64 * time.Second

// cookieMSS is the MSS that each number in a cookie stands for, bytes: the largest that does not exceed the peer's.
var cookieMSS = [8]uint16{MinMSS, DefaultMSS, 1220, 1360, 1400, 1440, 1460, 8960}

// cookieBase returns the hash part of a cookie that is made in the given period.
func (k *Keys) cookieBase(f Flow, irs Seq, period uint32) Seq {
	return Seq(k.derive(f, purposeCookie, uint64(irs)|uint64(period)<<32))
}

// cookie returns the cookie that answers a SYN.
func (k *Keys) cookie(f Flow, irs Seq, mss uint16, now clock.Time) Seq {
	i := len(cookieMSS) - 1
	for i > 0 && cookieMSS[i] > mss {
		i--
	}
	return k.cookieBase(f, irs, cookieTime(now)).Add(uint32(i))
}

// checkCookie reports whether a cookie was made for the flow and the peer's initial number, and not too long ago, and returns the
// MSS that is in it.
func (k *Keys) checkCookie(f Flow, irs, cookie Seq, now clock.Time) (mss uint16, ok bool) {
	t := cookieTime(now)
	for _, period := range [2]uint32{t, t - 1} {
		if i := uint32(cookie - k.cookieBase(f, irs, period)); i < uint32(len(cookieMSS)) {
			return cookieMSS[i], true
		}
	}
	return 0, false
}

func cookieTime(now clock.Time) uint32 { return uint32(now / clock.Time(cookiePeriod)) }

// The low bits of a timestamp that goes with a cookie.
const (
	cookieTSBits   = 6
	cookieNoWScale = 15     // in the low 4 bits, where the peer's shift is otherwise
	cookieSACK     = 1 << 4 // the peer permits SACK
	cookieECN      = 1 << 5 // and asked for ECN
)

// cookieTimestamp puts the options of a SYN into timestamp ts. The result is not after ts: the connection's later timestamps must
// not seem older.
func cookieTimestamp(ts uint32, wscale int8, sack, ecn bool) uint32 {
	v := uint32(cookieNoWScale)
	if wscale >= 0 {
		v = uint32(wscale)
	}
	if sack {
		v |= cookieSACK
	}
	if ecn {
		v |= cookieECN
	}
	v |= ts &^ (1<<cookieTSBits - 1)
	if tsLess(ts, v) {
		v -= 1 << cookieTSBits
	}
	return v
}

// cookieOptions is the inverse of cookieTimestamp.
func cookieOptions(ts uint32) (wscale int8, sack, ecn bool) {
	wscale = int8(ts & 15)
	if wscale == cookieNoWScale {
		wscale = -1
	}
	return wscale, ts&cookieSACK != 0, ts&cookieECN != 0
}

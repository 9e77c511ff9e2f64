package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestCookieMSS(t *testing.T) {
	k := NewKeys([16]byte{5})
	now := clock.Time(1e12)
	for _, c := range []struct{ peer, want uint16 }{
		{0, 88}, {88, 88}, {535, 88}, {536, 536}, {1219, 536}, {1220, 1220}, {1459, 1440}, {1460, 1460}, {8959, 1460}, {65535, 8960},
	} {
		got, ok := k.checkCookie(testFlow, 7, k.cookie(testFlow, 7, c.peer, now), now)
		if !ok || got != c.want {
			t.Errorf("MSS %d comes back as %d, %v; want %d", c.peer, got, ok, c.want)
		}
	}
}

// TestCookieValidity has a cookie be good for the flow, number, secret and time that it was made for, and no other.
func TestCookieValidity(t *testing.T) {
	k, other := NewKeys([16]byte{5}), NewKeys([16]byte{6})
	now := clock.Time(100 * cookiePeriod).Add(cookiePeriod / 2)
	cookie := k.cookie(testFlow, 7, 1460, now)
	flow := testFlow
	flow.RemotePort++
	for _, c := range []struct {
		name   string
		keys   *Keys
		flow   Flow
		irs    Seq
		cookie Seq
		later  time.Duration
		want   bool
	}{
		{"at once", &k, testFlow, 7, cookie, 0, true},
		{"after a period", &k, testFlow, 7, cookie, cookiePeriod, true},
		{"after a period and a half", &k, testFlow, 7, cookie, cookiePeriod * 3 / 2, false},
		{"before it was made", &k, testFlow, 7, cookie, -cookiePeriod, false},
		{"another secret", &other, testFlow, 7, cookie, 0, false},
		{"another flow", &k, flow, 7, cookie, 0, false},
		{"another number of the peer's", &k, testFlow, 8, cookie, 0, false},
		{"guessed", &k, testFlow, 7, cookie + 8, 0, false},
	} {
		if _, ok := c.keys.checkCookie(c.flow, c.irs, c.cookie, now.Add(c.later)); ok != c.want {
			t.Errorf("%s: %v", c.name, ok)
		}
	}
}

func TestCookieTimestamp(t *testing.T) {
	for _, ts := range []uint32{0, 1, 31, 32, 5000, 1<<31 - 1, 1<<32 - 1} {
		for wscale := int8(-1); wscale <= MaxWScale; wscale++ {
			for i := range 4 {
				sack, ecn := i&1 != 0, i&2 != 0
				v := cookieTimestamp(ts, wscale, sack, ecn)
				if tsLess(ts, v) || ts-v >= 2<<cookieTSBits {
					t.Errorf("timestamp %d became %d", ts, v)
				}
				if w, s, e := cookieOptions(v); w != wscale || s != sack || e != ecn {
					t.Errorf("%d, %v, %v came back as %d, %v, %v", wscale, sack, ecn, w, s, e)
				}
			}
		}
	}
}

// TestCookieOptions has a handshake with a cookie agree on what one with a record agrees on.
func TestCookieOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		syn  func(*Segment)
		want Accepted
	}{
		{"everything", func(*Segment) {}, Accepted{HasTS: true, HasWScale: true, SndWScale: 7, RcvWScale: 7, SACKPermitted: true}},
		{"no window scale", func(s *Segment) { s.WScale = -1 }, Accepted{HasTS: true, SACKPermitted: true}},
		{"shift 0, no SACK", func(s *Segment) { s.WScale, s.SACKPermitted = 0, false },
			Accepted{HasTS: true, HasWScale: true, RcvWScale: 7}},
		{"no timestamps to keep the others in", func(s *Segment) { s.HasTS = false }, Accepted{}},
	} {
		p := newHandshakePeer(t, ListenerConfig{Cookies: CookiesAlways})
		s := syn(clientISS)
		c.syn(&s)
		p.want(c.name, testFlow, s, VerdictReply)
		o := p.out
		if o.HasTS != c.want.HasTS || o.WScale >= 0 != c.want.HasWScale || o.SACKPermitted != c.want.SACKPermitted {
			t.Errorf("%s: SYN-ACK has %+v", c.name, o.Options)
		}
		a := c.want
		a.Flow, a.IRS, a.ISS, a.MSS, a.RcvWnd = testFlow, clientISS, o.Seq, 1400, uint32(o.Window)
		if a.HasTS {
			a.TSRecent, a.TSOffset = 5001, p.l.core.Keys.TimestampOffset(testFlow)
		}
		p.now += clock.Time(70 * ms)
		if ts := p.now.Millis() + a.TSOffset; a.HasTS && tsLess(ts, o.TSVal) {
			t.Errorf("%s: timestamp %d of the SYN-ACK is after the next, %d", c.name, o.TSVal, ts)
		}
		p.want(c.name, testFlow, ack(&o), VerdictAccept)
		if got := *p.l.Accepted(); got != a {
			t.Errorf("%s: accepted\n%+v, want\n%+v", c.name, got, a)
		}
	}
}

func TestCookieRefused(t *testing.T) {
	p := newHandshakePeer(t, ListenerConfig{Cookies: CookiesAlways, Backlog: 1})
	valid := p.l.core.Keys.cookie(testFlow, 7, 1460, p.now)
	p.want("ACK before any cookie was sent", testFlow, Segment{Seq: 8, Ack: valid + 1, Flags: FlagACK},
		VerdictReset)
	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	good := ack(&p.out)
	for name, change := range map[string]func(*Segment){
		"another number":  func(s *Segment) { s.Ack += 100 },
		"its number gone": func(s *Segment) { s.Seq++ },
	} {
		bad := good
		change(&bad)
		p.want(name, testFlow, bad, VerdictReset)
		p.wantHeader(name, FlagRST, bad.Ack, 0)
	}
	p.want("from another port", flowNo(1), good, VerdictReset)
	p.now = p.now.Add(2 * cookiePeriod)
	p.want("too late", testFlow, good, VerdictReset)

	p.want("SYN", testFlow, syn(clientISS), VerdictReply)
	good = ack(&p.out)
	p.handshake(flowNo(2))
	p.want("ACK while the backlog is full", testFlow, good, VerdictDrop)
	p.l.Taken()
	p.want("ACK that comes again, with data", testFlow, good, VerdictAccept)
}

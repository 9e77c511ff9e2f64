package tcp

import (
	"encoding/binary"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// TCP Fast Open (RFC 7413) saves the round trip of the handshake: data goes with the SYN, and the answer with the SYN-ACK. A cookie
// that the client got in an earlier handshake proves that it receives what is sent to its address.
//
//	client                                             server
//	Connect, no cookie ──── SYN, asks for a cookie ───► ordinary handshake
//	  cookie is kept  ◄──── SYN-ACK, cookie ─────────── keyed hash of the addresses: nothing to remember
//	Connect, Write ──────── SYN, cookie, data ────────► VerdictAccept: the Conn is in SYN-RECEIVED and has the data
//	                  ◄──── SYN-ACK, of the data too ── Conn.Output
//	                  ◄──── data ────────────────────── written before the handshake is complete
//	                   ──── ACK ──────────────────────► ESTABLISHED
//
// The price: a SYN that the network doubles, or that an eavesdropper sends again, gives the server the same request twice, when the
// first connection has ended meanwhile. So it is off by default, and for requests only that may be repeated (section 2.1).

// FastOpenMode says in which roles a connection uses TCP Fast Open; the bits are those of Linux's net.ipv4.tcp_fastopen.
type FastOpenMode uint8

// The roles.
const (
	FastOpenClient FastOpenMode = 1 << iota // Connect: what is written first goes with the SYN once there is a cookie
	FastOpenServer                          // listeners give cookies, and take data with a SYN that has one
)

// DefaultFastOpenBacklog is how many connections of a shard may be open before their handshake is complete, unless told otherwise.
const DefaultFastOpenBacklog = 256

// fastOpenHold is how long, at least, a connection that was reset before its handshake was complete counts as if it were still there:
// otherwise an attacker with cookies of others would have them answer, by resets, for room for more (RFC 7413 section 5.1).
const fastOpenHold = 60 * time.Second

// cookieSize is the length of the cookies that a server gives, in bytes, the same as Linux's.
const cookieSize = 8

// fastOpen is what the connections of a shard have in common for Fast Open.
type fastOpen struct {
	keys    [2][2]uint64 // of the cookies that are given, and of those given before
	cookies cookieCache  // what servers gave

	early     int        // connections that are open before their handshake is complete
	held      [2]int     // those that were reset, in this period of fastOpenHold and in the one before
	periodEnd clock.Time // of the held
}

// SetFastOpenKey has Fast Open cookies made with a new key. Those of the last key before stay valid; their owners get new ones. The
// shards of a stack must have the same keys, for a client's connections come to any of them.
func (k *Core) SetFastOpenKey(key [16]byte) {
	o := &k.fastOpen
	o.keys[1] = o.keys[0]
	o.keys[0] = [2]uint64{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])}
}

// init derives the keys that hold until others are set.
func (o *fastOpen) init(k *Keys) {
	f := Flow{}
	key := [2]uint64{}
	for i := range key {
		key[i] = uint64(k.derive(f, purposeFastOpen, uint64(2*i)))<<32 | uint64(k.derive(f, purposeFastOpen, uint64(2*i+1)))
	}
	o.keys = [2][2]uint64{key, key}
}

// fastOpenCookie returns the cookie of a client, or the one that the key before gave it.
func (k *Core) fastOpenCookie(f Flow, key int) (cookie [cookieSize]byte) {
	addresses, _ := f.words()
	binary.LittleEndian.PutUint64(cookie[:], sip24(k.fastOpen.keys[key][0], k.fastOpen.keys[key][1], addresses, 0, 0))
	return cookie
}

// checkFastOpenCookie reports whether the flow's client has that cookie, and whether the key before made it.
func (k *Core) checkFastOpenCookie(f Flow, cookie []byte) (valid, old bool) {
	if len(cookie) != cookieSize {
		return false, false
	}
	c := [cookieSize]byte(cookie)
	if c == k.fastOpenCookie(f, 0) {
		return true, false
	}
	old = c == k.fastOpenCookie(f, 1)
	return old, old
}

// room reports whether one more connection may open before its handshake is complete.
func (o *fastOpen) room(limit int, now clock.Time) bool {
	o.turn(now)
	return o.early+o.held[0]+o.held[1] < limit
}

// turn begins a new period of the held, or two.
func (o *fastOpen) turn(now clock.Time) {
	switch {
	case now < o.periodEnd:
		return
	case now < o.periodEnd.Add(fastOpenHold):
		o.held = [2]int{0, o.held[0]}
	default:
		o.held = [2]int{}
	}
	o.periodEnd = now.Add(fastOpenHold)
}

// end notes that a connection is not early any more. One that the network ended goes on counting for a while.
func (o *fastOpen) end(hold bool, now clock.Time) {
	o.early--
	if hold {
		o.turn(now)
		o.held[0]++
	}
}

// fastOpen looks at the Fast Open option of a SYN. It reports whether the connection opens at once, as l.accepted says; otherwise the
// handshake is an ordinary one, whose SYN-ACK gives a cookie in an option of the kind offer, if that is not 0.
func (l *Listener) fastOpen(f Flow, s *Segment, iss Seq, now clock.Time) (early bool, offer uint8) {
	st := l.stats()
	if s.CookieLen == 0 {
		st.FastOpenRequests++
		return false, s.FastOpen
	}
	valid, old := l.core.checkFastOpenCookie(f, s.cookie())
	switch {
	case !valid:
		st.FastOpenBadCookies++
		return false, s.FastOpen
	case l.deferRounds != 0 && s.PayloadLen == 0:
		return false, 0
	case !l.core.fastOpen.room(l.fastOpenBacklog, now):
		st.FastOpenFull++
		return false, 0
	}
	a := &l.accepted
	*a = Accepted{
		Flow: f, IRS: s.Seq, ISS: iss, MSS: peerMSS(s), FastOpen: true, NewCookie: old && s.FastOpen == optFastOpen,
		RcvWnd: uint32(l.window(l.core.share)), SndWnd: s.Window, ECN: l.cfg.ecnAnswer(s) != ecnNone,
	}
	l.acceptOptions(l.peerWScale(s), s.SACKPermitted && !l.cfg.NoSACK, s.HasTS && !l.cfg.NoTimestamps)
	if a.HasTS {
		a.TSRecent, a.TSOffset = s.TSVal, l.core.Keys.TimestampOffset(f)
	}
	a.ECN = l.cfg.ecnAnswer(s) == ecnBoth
	st.Syns++
	st.FastOpens++
	return true, 0
}

// acceptEarly begins a connection whose handshake is not complete, but whose client has shown a cookie: the application may read what
// the SYN brings, and write. The SYN is to be queued next.
func (c *Conn) acceptEarly(a *Accepted, now clock.Time) {
	c.set(flagEarly | flagTold)
	c.setFlag(flagFastOpen, a.NewCookie)
	// Of a window that says nothing about data yet, the SYN takes no part.
	c.snd.una++
	c.snd.wnd, c.snd.maxWnd = uint32(a.SndWnd), uint32(a.SndWnd)
	c.snd.wl1, c.snd.wl2 = a.IRS, a.ISS
	c.initCongestion(c.cfg.InitialWindow)
	c.cc.Seed(uint32(c.snd.iss))
	c.timers.received = now
	c.timers.rtx = now.Add(initialRTO)
	c.setState(StateSynReceived)
	c.due |= dueSYN
	c.core.fastOpen.early++
	c.events |= EventEstablished
}

// earlySYN takes the SYN of a connection that opened early, or the same SYN again, and reports whether it is one.
func (c *Conn) earlySYN(s *Segment, now clock.Time) bool {
	if !c.is(flagEarly) || s.Flags&(FlagSYN|FlagACK|FlagRST|FlagFIN) != FlagSYN || s.Seq != c.rcv.irs {
		return false
	}
	if c.is(flagTS) && s.HasTS && tsLess(c.ts.recent, s.TSVal) {
		c.ts.recent, c.ts.recentAt = s.TSVal, seconds(now)
	}
	if !s.asksECN() {
		c.clear(flagECT) // See ecnEcho.
	}
	c.due |= dueSYN
	if s.End().Greater(c.rcv.nxt) {
		c.synData(s, now)
	}
	return true
}

// nextUnsynchronized is next before ESTABLISHED: ACKs in SYN-RECEIVED, and data if the connection opened early. The FIN waits.
func (c *Conn) nextUnsynchronized(now clock.Time) (what action, n uint32) {
	if c.state != StateSynReceived {
		return sendNothing, 0
	}
	if c.hasEarlyData() && c.mayPace(now) {
		return sendData, c.sendable()
	}
	if c.due&dueACK != 0 {
		return sendACK, 0
	}
	return sendNothing, 0
}

// hasEarlyData reports whether there is data that may go out before the handshake is complete, as far as the windows are concerned.
func (c *Conn) hasEarlyData() bool {
	return c.is(flagEarly) && !c.is(flagStarved) && c.snd.unsent != frame.None && c.sendable() != 0
}

// endEarly notes that a connection that opened early is established, or over; hold means that the network ended it.
func (c *Conn) endEarly(hold bool) {
	if c.is(flagEarly) {
		c.clear(flagEarly)
		c.core.fastOpen.end(hold, c.core.now)
	}
}

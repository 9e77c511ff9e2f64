package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const (
	// cookieSlots is how many servers a shard keeps Fast Open cookies of, at most; a power of two. Servers that fall on the same slot
	// displace each other. The place is by a keyed hash: no server can choose whom it displaces.
	cookieSlots = 256

	// cookieLifetime is how long a cookie is used. A server may give up a cookie at any time, and then costs no more than a round trip.
	cookieLifetime = 24 * time.Hour

	// fastOpenPause is how long no Fast Open is tried with a server where it failed (RFC 7413 section 4.1.3.1), doubled with each
	// failure in a row, at most fastOpenPauses times.
	fastOpenPause  = time.Minute
	fastOpenPauses = 6
)

// cookieCache is what a client knows of servers that speak Fast Open (RFC 7413 section 4.1.3). The memory is taken with the first of
// them.
type cookieCache struct{ slots []cookieSlot }

// cookieSlot is what is known of one server.
type cookieSlot struct {
	until  clock.Time // the cookie is used until then; without one, nothing is tried until then
	server [4]byte
	local  [4]byte // cookies are of both addresses
	mss    uint16  // what the server takes in a segment, bytes
	length uint8   // of the cookie; 0: none
	failed uint8   // how often in a row Fast Open failed
	cookie [MaxCookie]byte
}

// slot returns the place of the flow's server, nil if there is no memory yet.
func (k *Core) cookieSlot(f Flow) *cookieSlot {
	if k.fastOpen.cookies.slots == nil {
		return nil
	}
	return &k.fastOpen.cookies.slots[k.Keys.derive(f.hosts(), purposeCookieCache, 0)%cookieSlots]
}

// hosts returns the flow without its ports.
func (f Flow) hosts() Flow { return Flow{LocalAddr: f.LocalAddr, RemoteAddr: f.RemoteAddr} }

// of reports whether the slot is about the flow's server.
func (s *cookieSlot) of(f Flow) bool {
	return s != nil && s.server == f.RemoteAddr && s.local == f.LocalAddr && s.until != 0
}

// serverCookie returns what is known of a server: its cookie's slot, nil if there is none; and whether Fast Open may be tried at all.
func (k *Core) serverCookie(f Flow, now clock.Time) (s *cookieSlot, try bool) {
	s = k.cookieSlot(f)
	switch {
	case !s.of(f):
		return nil, true
	case s.length == 0:
		return nil, now >= s.until
	case now >= s.until:
		return nil, true
	}
	return s, true
}

// keepCookie notes what a server gave.
func (k *Core) keepCookie(f Flow, cookie []byte, mss uint16, now clock.Time) {
	if k.fastOpen.cookies.slots == nil {
		k.fastOpen.cookies.slots = make([]cookieSlot, cookieSlots)
	}
	s := k.cookieSlot(f)
	*s = cookieSlot{until: now.Add(cookieLifetime), server: f.RemoteAddr, local: f.LocalAddr, mss: mss}
	s.length = uint8(copy(s.cookie[:], cookie))
}

// fastOpenFailed notes that a server did not answer a SYN with the Fast Open option, or did not take its data: its cookie is forgotten
// and nothing is tried for a while.
func (k *Core) fastOpenFailed(f Flow, now clock.Time) {
	if k.fastOpen.cookies.slots == nil {
		k.fastOpen.cookies.slots = make([]cookieSlot, cookieSlots)
	}
	s := k.cookieSlot(f)
	failed := uint8(0)
	if s.of(f) {
		failed = s.failed
	}
	*s = cookieSlot{
		until: now.Add(fastOpenPause << failed), server: f.RemoteAddr, local: f.LocalAddr, failed: min(failed+1, fastOpenPauses),
	}
	k.Stats.FastOpenFailed++
}

package ethernet

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// ClaimState says whether our IP address is ours.
type ClaimState uint8

// States of a claim (RFC 5227 section 2.1).
const (
	Owned    ClaimState = iota // nobody objected, or nobody was asked
	Claiming                   // we are asking; the address must not be used yet
	Lost                       // somebody else has it
)

// Numbers of RFC 5227 section 1.1.
const (
	probeNum       = 3
	announceNum    = 2
	defendInterval = 10 * time.Second
)

// claim is how a host takes an address and keeps it (RFC 5227).
//
//	Claim ──► wait 0..1 ── probe ── 1..2 ── probe ── 1..2 ── probe ── 2 ── announce ── 2 ── announce       in intervals
//	          └────────────────────── Claiming ────────────────────────┘└──────────── Owned
type claim struct {
	state    ClaimState
	probes   uint8 // still to be sent
	announce uint8 // still to be sent
	interval time.Duration
	deadline clock.Time // of the next packet
	random   uint64

	rival      Addr       // who else uses the address
	rivalNews  bool       // not told yet
	defendedAt clock.Time // when we last defended it; zero: never
}

func (c *claim) init(seed uint64) { *c = claim{deadline: clock.Never, random: seed} }

// jitter returns a random time from 0 to interval.
func (c *claim) jitter() time.Duration {
	c.random = c.random*6364136223846793005 + 1442695040888963407
	return time.Duration(c.random>>40) * c.interval >> 24
}

// Claim asks the link whether somebody has our address, before we use it. The three probes are one to two intervals apart, and two
// intervals after the last one the address is ours and announced. ClaimState tells the outcome. Zero means the interval of
// RFC 5227, one second, with which a claim takes four to seven seconds; a test on a quiet link can do with milliseconds.
func (n *Neighbours) Claim(now clock.Time, interval time.Duration) {
	if interval <= 0 {
		interval = time.Second
	}
	c := &n.claim
	c.state, c.interval = Claiming, interval
	c.probes, c.announce = probeNum, announceNum
	c.deadline = now.Add(c.jitter())
}

// Announce tells the link our address twice, two seconds apart, without asking first, so that neighbours forget who had it before.
func (n *Neighbours) Announce(now clock.Time) {
	c := &n.claim
	c.state, c.interval = Owned, time.Second
	c.probes, c.announce = 0, announceNum
	c.deadline = now
}

// ClaimState returns whether our address is ours. It is unless Claim was called.
func (n *Neighbours) ClaimState() ClaimState { return n.claim.state }

// NextConflict returns the MAC address of a host that claims our IP address, once for each change of it and each defence.
func (n *Neighbours) NextConflict(rival *Addr) bool {
	c := &n.claim
	news := c.rivalNews
	c.rivalNews = false
	*rival = c.rival
	return news
}

// expireClaim sends the next probe or announcement if it is due.
func (n *Neighbours) expireClaim(now clock.Time) {
	c := &n.claim
	if c.deadline.After(now) {
		return
	}
	switch {
	case c.probes > 0:
		c.probes--
		n.push(&ARP{Op: ARPRequest, SenderMAC: n.cfg.MAC, TargetIP: n.cfg.IP})
		if c.deadline = now.Add(c.interval + c.jitter()); c.probes == 0 {
			c.deadline = now.Add(2 * c.interval)
		}
	case c.announce > 0:
		c.state = Owned
		c.announce--
		n.sayOurs()
		c.deadline = now.Add(2 * c.interval)
	}
	if c.probes == 0 && c.announce == 0 {
		c.deadline = clock.Never
	}
}

// sayOurs sends an announcement of our address.
func (n *Neighbours) sayOurs() {
	n.push(&ARP{Op: ARPRequest, SenderMAC: n.cfg.MAC, SenderIP: n.cfg.IP, TargetIP: n.cfg.IP})
}

// push queues a probe or an announcement.
func (n *Neighbours) push(a *ARP) {
	if !n.output.push(a) {
		n.Stats.RequestsDropped++
		return
	}
	n.Stats.Announcements++
}

// conflict handles a packet of somebody who uses or wants our address. While we are asking we lose it (RFC 5227 section 2.1.1).
// Once it is ours we keep it and say so, but at most every ten seconds, so that two hosts that both keep it do not fill the
// link (section 2.4(c)): a server's address is worth more than the RFC's advice (b) for clients to give it up.
func (n *Neighbours) conflict(a *ARP, now clock.Time) {
	c := &n.claim
	n.Stats.Conflicts++
	if a.SenderMAC != c.rival {
		c.rival, c.rivalNews = a.SenderMAC, true
	}
	switch c.state {
	case Claiming:
		c.state, c.deadline = Lost, clock.Never
		c.probes, c.announce = 0, 0
		c.rivalNews = true
	case Owned:
		if c.defendedAt == 0 || now.Sub(c.defendedAt) >= defendInterval {
			c.defendedAt, c.rivalNews = now, true
			n.Stats.Defences++
			n.sayOurs()
		}
	}
}

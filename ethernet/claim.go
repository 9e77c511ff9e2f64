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

// MaxClaims is how many further addresses a claim asks for and announces, at most: 4,096 take half a second of each round. Of a table that
// has more, only the first address is claimed. So many are planned for the network, and routed to this host or to a link of its own; to
// ask everybody for each of 65,536 three times would trouble all hosts of the link for 20 seconds.
const MaxClaims = 4096

// A claim of many addresses sends so many packets at a time, and then lets others have the link: 10,000 a second.
const (
	claimBurst = 32
	claimPause = 3200 * time.Microsecond
)

// defences is how many addresses are defended independently. Of those that share a slot, one is in ten seconds, so that what a rival can
// make us send has a bound.
const defences = 64

// claim is how a host takes an address and keeps it (RFC 5227). All addresses of a table are claimed together: each round is of one packet
// for each of them.
//
//	Claim ──► wait 0..1 ── probe ── 1..2 ── probe ── 1..2 ── probe ── 2 ── announce ── 2 ── announce       in intervals
//	          └────────────────────── Claiming ────────────────────────┘└──────────── Owned
type claim struct {
	state    ClaimState
	probes   uint8 // rounds still to be sent
	announce uint8 // rounds still to be sent
	interval time.Duration
	next     int        // the number of the next address in this round; the first of the table is 0
	began    clock.Time // when the round did
	deadline clock.Time // of the next packet
	random   uint64

	rival      Conflict
	rivalNews  bool                 // not told yet
	defendedAt [defences]clock.Time // when we last defended an address, by its slot; zero: never
}

// Conflict is that another host uses an address of ours.
type Conflict struct {
	IP  [4]byte // the address
	MAC Addr    // the other host's
}

func (c *claim) init(seed uint64) { *c = claim{deadline: clock.Never, random: seed} }

// jitter returns a random time from 0 to interval.
func (c *claim) jitter() time.Duration {
	c.random = c.random*6364136223846793005 + 1442695040888963407
	return time.Duration(c.random>>40) * c.interval >> 24
}

// Claim asks the link whether somebody has our addresses, before we use them. The three probes for each are one to two intervals apart,
// and two intervals after the last one the addresses are ours and announced. ClaimState tells the outcome. Zero means the interval of
// RFC 5227, one second, with which a claim takes four to seven seconds; a test on a quiet link can do with milliseconds. A round
// for many addresses takes 0.1 ms for each, and the next one begins no earlier.
func (n *Neighbours) Claim(now clock.Time, interval time.Duration) {
	if interval <= 0 {
		interval = time.Second
	}
	c := &n.claim
	c.state, c.interval = Claiming, interval
	c.probes, c.announce, c.next = probeNum, announceNum, 0
	c.deadline = now.Add(c.jitter())
}

// Announce tells the link our addresses twice, two seconds apart, without asking first, so that neighbours forget who had them before.
func (n *Neighbours) Announce(now clock.Time) {
	c := &n.claim
	c.state, c.interval = Owned, time.Second
	c.probes, c.announce, c.next = 0, announceNum, 0
	c.deadline = now
}

// ClaimState returns whether our addresses are ours. They are unless Claim was called.
func (n *Neighbours) ClaimState() ClaimState { return n.claim.state }

// NextConflict tells of a host that claims an address of ours, once for each change of it and each defence.
func (n *Neighbours) NextConflict(rival *Conflict) bool {
	c := &n.claim
	news := c.rivalNews
	c.rivalNews = false
	*rival = c.rival
	return news
}

// claimed returns how many addresses are claimed.
func (n *Neighbours) claimed() int {
	if others := n.cfg.Others.Len(); others <= MaxClaims {
		return 1 + others
	}
	return 1
}

// own returns an address of ours by its number.
func (n *Neighbours) own(i int) [4]byte {
	if i == 0 {
		return n.cfg.IP
	}
	return n.cfg.Others.At(i - 1)
}

// ours reports whether an address is of ours.
func (n *Neighbours) ours(ip [4]byte) bool { return ip == n.cfg.IP || n.cfg.Others.Has(ip) }

// expireClaim sends the next probes or announcements if they are due.
func (n *Neighbours) expireClaim(now clock.Time) {
	c := &n.claim
	if c.deadline.After(now) {
		return
	}
	if c.next == 0 {
		c.began = now
		if c.probes == 0 {
			c.state = Owned
		}
	}
	all := n.claimed()
	for end := min(c.next+claimBurst, all); c.next < end; c.next++ {
		ip := n.own(c.next)
		a := ARP{Op: ARPRequest, SenderMAC: n.cfg.MAC, SenderIP: ip, TargetIP: ip}
		if c.probes > 0 {
			a.SenderIP = [4]byte{}
		}
		n.push(&a)
	}
	c.deadline = now.Add(claimPause)
	if c.next < all {
		return
	}
	c.next = 0
	switch wait := c.interval + c.jitter(); {
	case c.probes > 1:
		c.probes--
		c.deadline = max(c.deadline, c.began.Add(wait))
	case c.probes == 1:
		c.probes--
		c.deadline = now.Add(2 * c.interval)
	case c.announce > 1:
		c.announce--
		c.deadline = max(c.deadline, c.began.Add(2*c.interval))
	default:
		c.announce, c.deadline = 0, clock.Never
	}
}

// sayOurs sends an announcement of an address of ours.
func (n *Neighbours) sayOurs(ip [4]byte) {
	n.push(&ARP{Op: ARPRequest, SenderMAC: n.cfg.MAC, SenderIP: ip, TargetIP: ip})
}

// push queues a probe or an announcement.
func (n *Neighbours) push(a *ARP) {
	if !n.output.push(a) {
		n.Stats.RequestsDropped++
		return
	}
	n.Stats.Announcements++
}

// conflict handles a packet of somebody who uses or wants an address of ours. While we are asking we lose it (RFC 5227 section 2.1.1).
// Once it is ours we keep it and say so, but at most every ten seconds, so that two hosts that both keep it do not fill the
// link (section 2.4(c)): a server's address is worth more than the RFC's advice (b) for clients to give it up.
func (n *Neighbours) conflict(ip [4]byte, a *ARP, now clock.Time) {
	c := &n.claim
	n.Stats.Conflicts++
	if a.SenderMAC != c.rival.MAC {
		c.rivalNews = true
	}
	switch c.state {
	case Claiming:
		c.state, c.deadline = Lost, clock.Never
		c.probes, c.announce = 0, 0
		c.rivalNews = true
	case Owned:
		at := &c.defendedAt[ip[3]%defences]
		if *at == 0 || now.Sub(*at) >= defendInterval {
			*at, c.rivalNews = now, true
			n.Stats.Defences++
			n.sayOurs(ip)
		}
	}
	if c.rivalNews {
		c.rival = Conflict{IP: ip, MAC: a.SenderMAC}
	}
}

package ethernet

import (
	"errors"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/limit"
)

// NeighboursConfig says how a table of neighbours behaves. Zero fields mean the defaults.
type NeighboursConfig struct {
	MAC     Addr    // our own address, required
	IP      [4]byte // our own address, required: requests come from it
	Gateway [4]byte // an entry that is never evicted; zero: none

	// Others are further addresses of our own, without IP: they are answered for, claimed and defended as it is.
	Others addrset.Set

	MaxKnown      int // entries with an address; default 1024
	MaxUnresolved int // entries without one; default 128
	MaxPending    int // frames that wait for one unresolved entry; default 8
	MaxOutput     int // ARP packets that wait for NextOutput; default 256

	ReachableTime time.Duration // how long an answer counts; default 30 s
	StaleTime     time.Duration // how long an unused entry is kept; default 5 min
	RetryTime     time.Duration // between requests; default 1 s, the least that RFC 1122 section 2.3.2.1 recommends
	Tries         int           // requests before giving up; default 3
	HoldDown      time.Duration // how long a silent neighbour counts as unreachable without being asked again; default 1 s
	LockTime      time.Duration // how long an address cannot change again; default 1 s
	RequestRate   int           // ARP requests a second to everybody; default 1000

	Seed uint64 // for the hash function and the random intervals; zero: a fixed one, for simulations
}

// Errors of NewNeighbours.
var (
	ErrOwnMAC = errors.New("ethernet: a table of neighbours needs its own unicast MAC address")
	ErrOwnIP  = errors.New("ethernet: a table of neighbours needs its own IPv4 address")
	ErrLimits = errors.New("ethernet: limits and times of a table of neighbours must not be negative, nor the table beyond 2^20 entries")
)

// withDefaults returns the configuration with its zero fields filled in, or an error if it cannot be meant.
func (c NeighboursConfig) withDefaults() (NeighboursConfig, error) {
	if c.MAC.IsZero() || c.MAC.IsMulticast() {
		return c, fmt.Errorf("%w: got %v", ErrOwnMAC, c.MAC)
	}
	if c.IP == [4]byte{} || c.IP[0] >= 224 {
		return c, fmt.Errorf("%w: got %v", ErrOwnIP, c.IP)
	}
	for _, f := range []struct {
		field *int
		value int
	}{{&c.MaxKnown, 1024}, {&c.MaxUnresolved, 128}, {&c.MaxPending, 8}, {&c.MaxOutput, 256}, {&c.Tries, 3}, {&c.RequestRate, 1000}} {
		if *f.field == 0 {
			*f.field = f.value
		}
		if *f.field < 0 || *f.field > 1<<20 {
			return c, ErrLimits
		}
	}
	c.Tries = min(c.Tries, 255)
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.ReachableTime, 30 * time.Second}, {&c.StaleTime, 5 * time.Minute}, {&c.RetryTime, time.Second}, {&c.HoldDown, time.Second},
		{&c.LockTime, time.Second}} {
		if *f.field == 0 {
			*f.field = f.value
		}
		if *f.field < 0 {
			return c, ErrLimits
		}
	}
	if c.Seed == 0 {
		c.Seed = 0x9e3779b97f4a7c15
	}
	return c, nil
}

// Neighbours is the ARP table of one shard: which MAC address the hosts of the link have. Its memory is bounded from the start:
//
//   - Entries come from two sources only: we asked for the address (Resolve), or the host asked for ours. The latter can be
//     forged without limit, so at most a quarter of the table is theirs until we look them up, and they replace only each other.
//   - When the table is full, the entry that is out of use for longest makes room.
//   - Unresolved entries have a bound of their own. At the bound the one that is without an answer for longest makes room: a host
//     that exists answers within a round trip of the link, so a scan for hosts that do not exist cannot keep it out.
//   - The gateway is never evicted.
//
// The user of the table calls, in each turn: Input for each ARP packet that arrived, Expire, then NextReady, NextUnreachable and
// NextOutput until they have no more. What these three hold is due at once and not part of Deadline. NextReady comes before new
// frames are sent, so that frames to one neighbour keep their order.
type Neighbours struct {
	Stats NeighbourStats

	cfg     NeighboursConfig
	pool    *frame.Pool
	entries []entry
	buckets []int32 // heads of hash chains
	shift   uint    // of the hash function
	free    int32   // head of the list of free entries
	lists   [numLists]entryList
	known   int // entries with an address

	gen      uint32
	pending  pending
	output   outputRing
	failures failureRing
	requests limit.Bucket
	claim    claim
}

// NewNeighbours returns an empty table. Frames that wait for an address are released to pool when it is not found.
func NewNeighbours(pool *frame.Pool, cfg NeighboursConfig) (*Neighbours, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Neighbours{
		cfg:      cfg,
		pool:     pool,
		requests: limit.New(cfg.RequestRate, max(cfg.RequestRate/8, 16), 0),
	}
	n.initTable(cfg.MaxKnown + cfg.MaxUnresolved)
	n.pending.init(cfg.MaxUnresolved, cfg.MaxPending)
	n.output.packets = make([]ARP, cfg.MaxOutput)
	n.failures.ips = make([][4]byte, cfg.MaxUnresolved)
	n.claim.init(cfg.Seed)
	return n, nil
}

// Generation returns a number that changes whenever an address that Lookup gave out must be looked up again: it changed, it was
// removed, or it is due to be verified. A sender may keep the address with the generation it saw and skip Lookup until the two
// differ. That also keeps the entry alive: Lookup is what marks an entry as used.
//
// It also changes when an entry that somebody waits for without a frame in the table was evicted: a new generation is the time to
// ask again.
func (n *Neighbours) Generation() uint32 { return n.gen }

// Len returns how many entries have an address and how many wait for one or failed to get it.
func (n *Neighbours) Len() (known, unresolved int) {
	return n.known, int(n.lists[listIncomplete].n + n.lists[listFailed].n)
}

// Lookup returns the address of the neighbour with the given IP address. If there is none, the caller goes on with Resolve.
func (n *Neighbours) Lookup(ip [4]byte, now clock.Time) (Addr, bool) {
	i := n.find(ip)
	if i == none {
		return Addr{}, false
	}
	e := &n.entries[i]
	if e.list == listReachable {
		e.given = true
		return e.mac, true
	}
	return n.lookupOther(i, now)
}

// lookupOther is Lookup for an entry that is not simply reachable. The first use of a stale entry starts its verification; until
// that fails the address is good enough.
func (n *Neighbours) lookupOther(i int32, now clock.Time) (Addr, bool) {
	e := &n.entries[i]
	switch e.list {
	case listStale, listHeard:
		e.tries = 0
		n.ask(i, listProbe, now)
	case listIncomplete, listFailed:
		return Addr{}, false
	}
	e.given = true
	return e.mac, true
}

// Verdict says what Resolve did.
type Verdict uint8

// What Resolve can do.
const (
	Queued      Verdict = iota // the table took the frame; NextReady will give it back, or it will be released
	Known                      // the address is known: the frame is still the caller's, who gets the address from Lookup
	Unreachable                // the neighbour did not answer lately: the frame is still the caller's
	Refused                    // the table is at its bounds: the frame is still the caller's
)

// Resolve asks for the address of ip, if that is not done already, and keeps the frame that d names until it is known: with
// Queued the table becomes an owner in the caller's place. d has the whole frame as it will be sent but for the destination
// address. A frame.None in d.Frame only asks; the caller learns of the outcome by looking the address up after ARP packets have
// come in, from NextUnreachable, or from a new Generation.
//
// Of the frames that wait for one address the newest are kept (RFC 1122 section 2.3.2.2).
func (n *Neighbours) Resolve(ip [4]byte, d frame.Desc, now clock.Time) Verdict {
	i := n.find(ip)
	if i == none {
		if i = n.newUnresolved(ip); i == none {
			n.Stats.ResolveRefused++
			return Refused
		}
		n.ask(i, listIncomplete, now)
	}
	switch n.entries[i].list {
	case listIncomplete:
	case listFailed:
		return Unreachable
	default:
		return Known
	}
	if d.Frame == frame.None {
		n.entries[i].given = true
		return Queued
	}
	if !n.enqueue(i, d) {
		n.Stats.ResolveRefused++
		return Refused
	}
	return Queued
}

// Confirm tells the table that packets reach ip at mac: a connection over it makes progress (RFC 1122 section 2.3.2.1, "advice from
// a higher layer"). It saves the request that would otherwise verify a stale entry.
func (n *Neighbours) Confirm(ip [4]byte, mac Addr, now clock.Time) {
	i := n.find(ip)
	if i == none {
		return
	}
	e := &n.entries[i]
	switch e.list {
	case listReachable:
		if e.deadline.Sub(now) > n.cfg.ReachableTime-time.Second {
			return // confirmed a moment ago
		}
	case listStale, listHeard, listProbe:
	default:
		return
	}
	if e.mac == mac {
		n.move(i, listReachable, now)
	}
}

// Doubt tells the table that packets to ip may not arrive: what goes there stays unanswered (RFC 1122 section 3.3.1.4, "negative
// advice"). The neighbour is verified when it is used next, rather than when its time comes.
func (n *Neighbours) Doubt(ip [4]byte, now clock.Time) {
	i := n.find(ip)
	if i == none || n.entries[i].list != listReachable {
		return
	}
	n.Stats.Doubted++
	n.taint(i)
	n.move(i, listStale, now)
}

// Set makes a permanent entry, or makes an entry permanent: it is neither verified, changed by ARP, nor evicted. It reports false
// if the table is full of permanent entries.
func (n *Neighbours) Set(ip [4]byte, mac Addr, now clock.Time) bool {
	i := n.find(ip)
	switch {
	case i == none:
		if !n.makeRoom(true) {
			return false
		}
		i = n.insert(ip)
		n.known++
	case !n.entries[i].list.known():
		if !n.makeRoom(true) {
			return false
		}
		n.known++
	case n.entries[i].mac != mac:
		n.taint(i)
	}
	n.entries[i].mac, n.entries[i].updated = mac, now
	n.move(i, listPermanent, now)
	n.release(i, mac)
	return true
}

// Delete removes an entry, whatever its state. Frames that wait for its address are released.
func (n *Neighbours) Delete(ip [4]byte) {
	if i := n.find(ip); i != none {
		n.Stats.PendingDropped += n.dropPending(i)
		n.remove(i)
	}
}

// Close releases all frames that the table holds.
func (n *Neighbours) Close() {
	for i := range n.entries {
		n.Stats.PendingDropped += n.dropPending(int32(i))
	}
	var d frame.Desc
	var a Addr
	for n.NextReady(&d, &a) {
		n.Stats.PendingDropped++
		n.pool.Release(d.Frame)
	}
}

// Neighbour is an entry of the table as Append tells it.
type Neighbour struct {
	IP    [4]byte
	MAC   Addr   // zero if it is not known
	State string // incomplete, reachable, stale, probe, failed or permanent
}

// Append appends all entries to s, for people to look at.
func (n *Neighbours) Append(s []Neighbour) []Neighbour {
	for i := range n.entries {
		if e := &n.entries[i]; e.list != listFree {
			s = append(s, Neighbour{IP: e.ip, MAC: e.mac, State: e.list.String()})
		}
	}
	return s
}

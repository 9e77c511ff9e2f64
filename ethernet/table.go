package ethernet

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// none is the index of no entry.
const none int32 = -1

// entry is one neighbour. Entries are named by their index in the table, which has no pointers.
type entry struct {
	deadline clock.Time // when the entry's list says that it is time for something
	updated  clock.Time // when mac was last set
	ip       [4]byte
	mac      Addr
	list     listID
	tries    uint8 // requests sent without an answer
	given    bool  // in the present generation Lookup gave the address out, or somebody waits for it without a frame
	queue    int32 // the queue of waiting frames, or none
	chain    int32 // next in the hash chain; next free entry
	next     int32 // neighbours in the list
	prev     int32
}

// listID names the list that an entry is in, which is its state. Within a list all entries have the same time to wait, so appending
// to it keeps it in the order of deadlines, and the nearest is always at its head.
type listID uint8

const (
	listFree       listID = iota // not in a list, not an entry
	listIncomplete               // asked, no answer yet
	listFailed                   // asked in vain
	listHeard                    // stale, heard of through the host's own request, and never looked up
	listStale                    // not confirmed lately, and not looked up since
	listProbe                    // looked up while stale: asked again
	listReachable                // confirmed lately
	listPermanent                // set by configuration; without deadline
	numLists
)

// known reports whether entries in the list have an address.
func (l listID) known() bool { return l >= listHeard }

func (l listID) String() string {
	return [numLists]string{"free", "incomplete", "failed", "stale", "stale", "probe", "reachable", "permanent"}[l]
}

// entryList is a list of entries in the order of their deadlines.
type entryList struct {
	head, tail int32
	n          int32
}

// initTable makes the table empty, with room for size entries.
func (n *Neighbours) initTable(size int) {
	n.entries = make([]entry, size)
	for i := range n.entries {
		n.entries[i].chain = int32(i) + 1
		n.entries[i].queue = none
	}
	n.entries[size-1].chain = none
	n.free = 0
	for l := range n.lists {
		n.lists[l] = entryList{head: none, tail: none}
	}
	log := uint(bits.Len(uint(2*size - 1)))
	n.shift = 64 - log
	n.buckets = make([]int32, 1<<log)
	for b := range n.buckets {
		n.buckets[b] = none
	}
}

// bucket is the hash function: multiplication with a secret odd number, of which the top bits are taken. Whoever chooses the
// addresses cannot choose the collisions.
func (n *Neighbours) bucket(ip [4]byte) *int32 {
	h := uint64(binary.BigEndian.Uint32(ip[:])) * (n.cfg.Seed | 1)
	return &n.buckets[h>>n.shift]
}

// find returns the entry of ip or none.
func (n *Neighbours) find(ip [4]byte) int32 {
	i := *n.bucket(ip)
	for i != none && n.entries[i].ip != ip {
		i = n.entries[i].chain
	}
	return i
}

// insert makes an entry that is in no list yet. The caller has made room.
func (n *Neighbours) insert(ip [4]byte) int32 {
	i := n.free
	n.free = n.entries[i].chain
	b := n.bucket(ip)
	n.entries[i] = entry{ip: ip, queue: none, chain: *b, next: none, prev: none}
	*b = i
	return i
}

// remove makes an entry free. Its waiting frames have been seen to.
func (n *Neighbours) remove(i int32) {
	n.taint(i)
	n.unlink(i)
	e := &n.entries[i]
	if e.list.known() {
		n.known--
	}
	p := n.bucket(e.ip)
	for *p != i {
		p = &n.entries[*p].chain
	}
	*p = e.chain
	*e = entry{queue: none, chain: n.free}
	n.free = i
}

// taint begins a new generation if somebody relies on the entry in the present one.
func (n *Neighbours) taint(i int32) {
	if e := &n.entries[i]; e.given {
		e.given = false
		n.gen++
	}
}

// move takes the entry from its list, if it is in one, to the end of another, and starts its time there.
func (n *Neighbours) move(i int32, to listID, now clock.Time) {
	n.unlink(i)
	e, l := &n.entries[i], &n.lists[to]
	e.list = to
	e.deadline = now.Add(n.timeIn(to))
	e.next, e.prev = none, l.tail
	if l.tail == none {
		l.head = i
	} else {
		n.entries[l.tail].next = i
	}
	l.tail = i
	l.n++
}

// unlink takes the entry out of the list that it is in, if it is in one.
func (n *Neighbours) unlink(i int32) {
	e := &n.entries[i]
	if e.list == listFree {
		return
	}
	l := &n.lists[e.list]
	if e.prev == none {
		l.head = e.next
	} else {
		n.entries[e.prev].next = e.next
	}
	if e.next == none {
		l.tail = e.prev
	} else {
		n.entries[e.next].prev = e.prev
	}
	l.n--
}

// timeIn returns how long an entry stays in a list before something happens to it.
func (n *Neighbours) timeIn(l listID) time.Duration {
	switch l {
	case listIncomplete, listProbe:
		return n.cfg.RetryTime
	case listFailed:
		return n.cfg.HoldDown
	case listHeard, listStale:
		return n.cfg.StaleTime
	default:
		return n.cfg.ReachableTime
	}
}

// newUnresolved makes an entry for an address to ask for, in no list yet, or returns none.
func (n *Neighbours) newUnresolved(ip [4]byte) int32 {
	failed, incomplete := &n.lists[listFailed], &n.lists[listIncomplete]
	if int(failed.n+incomplete.n) >= n.cfg.MaxUnresolved && !n.evict(listFailed) && !n.evict(listIncomplete) {
		return none
	}
	return n.insert(ip)
}

// makeRoom makes room for one more entry with an address. Only for an address that we asked for may one in use be evicted: all
// the others can be forged.
func (n *Neighbours) makeRoom(asked bool) bool {
	heard := int(n.lists[listHeard].n)
	if !asked && heard >= max(n.cfg.MaxKnown/4, 1) {
		return n.evict(listHeard)
	}
	if n.known < n.cfg.MaxKnown || n.evict(listHeard) || n.evict(listStale) {
		return true
	}
	return asked && (n.evict(listReachable) || n.evict(listProbe))
}

// evict removes the oldest entry of a list, but not the gateway's. It reports false if there is none.
func (n *Neighbours) evict(l listID) bool {
	i := n.lists[l].head
	if i != none && n.entries[i].ip == n.cfg.Gateway {
		i = n.entries[i].next
	}
	if i == none {
		return false
	}
	if l.known() {
		n.Stats.KnownEvicted++
	} else {
		n.Stats.UnresolvedEvicted++
		n.Stats.PendingDropped += n.dropPending(i)
	}
	n.remove(i)
	return true
}

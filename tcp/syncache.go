package tcp

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// synRecord is a connection in SYN-RECEIVED: all that must be known of it until the handshake is complete. With its place in the
// table it takes 64 bytes.
type synRecord struct {
	due      clock.Time // when the SYN-ACK is sent again
	irs, iss Seq
	tsRecent uint32
	mss      uint16
	wnd      uint16 // what the first SYN-ACK offered; the others offer the same
	wscale   int8   // the peer's; -1: none
	sack, ts bool
	acked    uint8 // sends when the last ACK came without data, which is waited for: see Config.DeferAccept; 0: no ACK came
	fastOpen uint8 // the kind of option in which the SYN-ACK brings a Fast Open cookie; 0: none
	ecn      ecnState
	sends    uint8 // how often the SYN-ACK was sent on its own account, not in answer to a SYN that came again
}

const (
	// synAckRetries is how often a SYN-ACK is sent again, after 1, 2, 4, 8 and 16 s; 32 s after the last the record is given up.
	synAckRetries = 5

	// synAckRTO is the time until the first repetition (RFC 6298 section 2.1).
	synAckRTO = initialRTO
)

// synCache is the half-open connections of a listener. Those whose SYN-ACK was sent equally often wait equally long: a fifo for each
// number of sends is in the order of their deadlines.
type synCache struct {
	flowTable[synRecord]
	waiting [synAckRetries + 1]fifo // by sends - 1
}

func newSynCache(k *Core, limit int) synCache {
	c := synCache{flowTable: newFlowTable[synRecord](&k.Keys, k.Marks, limit)}
	for i := range c.waiting {
		c.waiting[i].init()
	}
	return c
}

// wait counts a SYN-ACK of record i, which is in no fifo, and queues the record for the next.
func (c *synCache) wait(i uint32, now clock.Time) {
	r := &c.at(i).rec
	r.due = now.Add(synAckRTO << r.sends)
	c.push(&c.waiting[r.sends], i)
	r.sends++
}

// drop forgets record i.
func (c *synCache) drop(i uint32) {
	c.unlink(&c.waiting[c.at(i).rec.sends-1], i)
	c.remove(i)
}

// deadline returns when the next record is due.
func (c *synCache) deadline() clock.Time {
	t := clock.Never
	if c.n == 0 {
		return t
	}
	for i := range c.waiting {
		if h := c.waiting[i].head; h != none {
			t = min(t, c.at(h).rec.due)
		}
	}
	return t
}

// expire forgets the records whose last SYN-ACK was not answered and returns how many they were.
func (c *synCache) expire(now clock.Time) int {
	q, n := &c.waiting[synAckRetries], 0
	for q.head != none && c.at(q.head).rec.due <= now {
		c.drop(q.head)
		n++
	}
	return n
}

// due returns a record whose SYN-ACK is to be sent again, now out of its fifo, or none.
func (c *synCache) due(now clock.Time) uint32 {
	for i := range synAckRetries {
		q := &c.waiting[i]
		if h := q.head; h != none && c.at(h).rec.due <= now {
			c.unlink(q, h)
			return h
		}
	}
	return none
}

// firstSent returns when a record's only SYN-ACK was sent.
func (r *synRecord) firstSent() clock.Time { return r.due.Add(-synAckRTO) }

// deferRounds returns how often a SYN-ACK would be sent again in the time that Config.DeferAccept gives the peer for its first data.
func deferRounds(d time.Duration) uint8 {
	n := uint8(0)
	for wait := time.Duration(0); wait < d && n < synAckRetries; n++ {
		wait += synAckRTO << n
	}
	return n
}

// Package limit has the one rate limiter of the stack, for the packets that hosts must not send without bound: ARP requests
// (RFC 1122 section 2.3.2.1), ICMP errors (RFC 1812 section 4.3.2.8), challenge ACKs (RFC 5961 section 7).
package limit

import (
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Bucket is a token bucket, kept as one time: the one at which it will be full again. It is a value of 32 bytes, needs no ticking,
// and belongs to one goroutine. The zero Bucket lets nothing through.
type Bucket struct {
	fullAt clock.Time    // when no token would be missing any more
	cost   time.Duration // what a token adds to fullAt
	depth  time.Duration // how far fullAt may be in the future
	random uint64        // state of the generator, 0 for an exact bucket
}

// New returns a full bucket that holds up to burst tokens and gets perSecond new ones a second. Both must be positive.
//
// With a seed other than zero the price of a token varies at random around the same mean. An attacker who can see some of the
// limited packets then cannot find out by counting whether others were sent in between, which is how a limit common to all
// peers becomes a side channel (the challenge ACKs of CVE-2016-5696, the ICMP errors of CVE-2020-25705).
func New(perSecond, burst int, seed uint64) Bucket {
	cost := time.Second / time.Duration(max(perSecond, 1))
	return Bucket{cost: cost, depth: cost * time.Duration(max(burst, 1)), random: seed}
}

// Take takes a token if there is one and reports whether there was.
func (b *Bucket) Take(now clock.Time) bool {
	full := max(b.fullAt, now)
	if b.cost == 0 || full.Sub(now) > b.depth-b.cost {
		return false
	}
	b.fullAt = full.Add(b.price())
	return true
}

// price returns what the next token costs: between half and one and a half of the mean if it is random.
func (b *Bucket) price() time.Duration {
	if b.random == 0 {
		return b.cost
	}
	b.random ^= b.random << 13 // Marsaglia's xorshift: enough to hide a count of tens
	b.random ^= b.random >> 7
	b.random ^= b.random << 17
	return b.cost/2 + time.Duration(b.random>>32*uint64(b.cost)>>32)
}

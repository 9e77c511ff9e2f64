package sim

import (
	"math/rand/v2"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// Impairment says what a link does to packets, in each direction separately. The zero Impairment is a perfect link without delay.
// Probabilities are from 0 to 1.
type Impairment struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // up to this is added to the delay, evenly distributed; it does not change the order
	Loss      float64       // probability that a packet is lost, independent of others
	Burst     Burst         // losses that come together
	Reorder   float64       // probability that a packet is held back, so that later ones overtake it
	ReorderBy time.Duration // for how long; default 1 ms and a quarter of Delay
	Duplicate float64       // probability that a packet arrives twice
	Corrupt   float64       // probability that one bit behind the Ethernet header of an IP packet is inverted (ARP has no checksum)
	Rate      int64         // bits per second of the Ethernet frames; 0: no limit
	QueueLen  int           // packets that may wait for their turn at Rate; default 1000
}

// Burst is Gilbert's model of a link with good and bad times, where everything is lost in bad ones.
type Burst struct {
	Enter float64 // probability, at each packet, that a bad time begins
	Leave float64 // probability, at each packet, that it ends
}

// LinkStats counts what became of the packets that entered one direction of a link.
type LinkStats struct {
	Packets    uint64 `help:"packets that entered"`
	Lost       uint64 `help:"packets lost at random"`
	BurstLost  uint64 `help:"packets lost in bad times"`
	QueueFull  uint64 `help:"packets dropped: the queue of the rate limit was full"`
	Down       uint64 `help:"packets dropped: the link was down"`
	Filtered   uint64 `help:"packets dropped by the filter"`
	Reordered  uint64 `help:"packets held back"`
	Duplicated uint64 `help:"packets that arrived twice"`
	Corrupted  uint64 `help:"packets of which a bit was inverted"`
}

// Link joins two devices of a Network. Its fields may be changed at any time.
type Link struct {
	Down   bool                                              // the cable is out
	Filter func(now clock.Time, from *Device, b []byte) bool // packets for which it reports false are dropped; nil: none

	a, b   *Device
	ab, ba direction
}

// direction is one direction of a link.
type direction struct {
	imp    Impairment
	random *rand.Rand
	bad    bool         // in a bad time
	idleAt clock.Time   // when the last packet that was taken will have left, at Rate
	last   clock.Time   // latest arrival so far, of packets that were not held back
	leaves []clock.Time // when the packets that wait will have left
	stats  LinkStats
}

// Impair changes what the link does to packets from a device on.
func (l *Link) Impair(from *Device, imp Impairment) { l.direction(from).imp = imp }

// Stats returns the counters of the packets from a device.
func (l *Link) Stats(from *Device) LinkStats { return l.direction(from).stats }

func (l *Link) direction(from *Device) *direction {
	if from == l.a {
		return &l.ab
	}
	return &l.ba
}

func (l *Link) peer(of *Device) *Device {
	if of == l.a {
		return l.b
	}
	return l.a
}

// fate is what becomes of a packet.
type fate struct {
	copies int        // how many arrive: 0, 1 or 2
	at     clock.Time // when
	bit    int        // the number of the bit to invert, or -1
}

// decide decides a packet's fate. The random numbers are drawn in the same order for each packet, whatever the settings, so that
// a change of one of them changes no decision about others.
func (d *direction) decide(now clock.Time, b []byte) fate {
	d.stats.Packets++
	lost, held, twice, bad := d.random.Float64(), d.random.Float64(), d.random.Float64(), d.random.Float64()
	turn, jitter, bit := d.random.Float64(), d.random.Float64(), d.random.Float64()
	if d.bad {
		d.bad = turn >= d.imp.Burst.Leave
	} else {
		d.bad = turn < d.imp.Burst.Enter
	}
	switch {
	case d.bad:
		d.stats.BurstLost++
		return fate{}
	case lost < d.imp.Loss:
		d.stats.Lost++
		return fate{}
	}
	left, ok := d.leave(now, len(b))
	if !ok {
		d.stats.QueueFull++
		return fate{}
	}
	f := fate{copies: 1, at: left.Add(d.imp.Delay + time.Duration(jitter*float64(d.imp.Jitter))), bit: -1}
	if held < d.imp.Reorder {
		d.stats.Reordered++
		f.at = f.at.Add(d.holdBack())
	} else {
		f.at = max(f.at, d.last)
		d.last = f.at
	}
	if twice < d.imp.Duplicate {
		d.stats.Duplicated++
		f.copies = 2
	}
	if bad < d.imp.Corrupt && isIPv4(b) {
		d.stats.Corrupted++
		f.bit = 8*ethernetHeader + int(bit*float64(8*(len(b)-ethernetHeader)))
	}
	return f
}

func (d *direction) holdBack() time.Duration {
	if d.imp.ReorderBy != 0 {
		return d.imp.ReorderBy
	}
	return time.Millisecond + d.imp.Delay/4
}

// leave returns when a packet of n bytes will have left at the link's rate, or false if too many wait already.
func (d *direction) leave(now clock.Time, n int) (clock.Time, bool) {
	if d.imp.Rate <= 0 {
		return now, true
	}
	for len(d.leaves) > 0 && d.leaves[0] <= now {
		d.leaves = d.leaves[1:]
	}
	limit := d.imp.QueueLen
	if limit == 0 {
		limit = 1000
	}
	if len(d.leaves) > limit {
		return 0, false
	}
	d.idleAt = max(d.idleAt, now).Add(time.Duration(float64(n) * 8 * float64(time.Second) / float64(d.imp.Rate)))
	d.leaves = append(d.leaves, d.idleAt)
	return d.idleAt, true
}

func isIPv4(b []byte) bool { return len(b) > ethernetHeader && b[12] == 0x08 && b[13] == 0 }

package impair

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// ethernetHeader is its length, bytes.
const ethernetHeader = 14

// Direction decides about the packets of one direction, in the order in which they enter. Its Config may be changed at any time.
type Direction struct {
	Config
	Stats Stats

	random *rand.Rand
	bad    bool         // in a bad time
	idleAt clock.Time   // when the last packet that was taken will have left, at Rate
	last   clock.Time   // latest arrival so far, of packets that were not held back
	leaves []clock.Time // when the packets that wait will have left
}

// NewDirection makes a Direction whose luck follows from a seed and a stream, which tells directions of one seed apart.
func NewDirection(cfg Config, seed, stream uint64) Direction {
	return Direction{Config: cfg, random: rand.New(rand.NewPCG(seed, stream))}
}

// Fate is what becomes of a packet.
type Fate struct {
	Copies int        // how many arrive: 0, 1 or 2
	At     clock.Time // when
	Bit    int        // the number of the bit to invert, or -1
	Mark   bool       // it gets CE
}

// Damage does to the frame what the fate has done to it: sets CE, inverts a bit.
func (f *Fate) Damage(b []byte) {
	if f.Mark {
		mark(b)
	}
	if f.Bit >= 0 {
		b[f.Bit/8] ^= 1 << (f.Bit % 8)
	}
}

// Decide decides the fate of an Ethernet frame. The random numbers are drawn in the same order for each, whatever the settings, so
// that a change of one of them changes no decision about others.
func (d *Direction) Decide(now clock.Time, b []byte) Fate {
	d.Stats.Packets++
	lost, held, twice, bad := d.random.Float64(), d.random.Float64(), d.random.Float64(), d.random.Float64()
	turn, jitter, bit := d.random.Float64(), d.random.Float64(), d.random.Float64()
	if d.bad {
		d.bad = turn >= d.Burst.Leave
	} else {
		d.bad = turn < d.Burst.Enter
	}
	switch {
	case d.bad:
		d.Stats.BurstLost++
		return Fate{}
	case lost < d.Loss:
		d.Stats.Lost++
		return Fate{}
	}
	left, ok := d.leave(now, len(b))
	if !ok {
		d.Stats.QueueFull++
		return Fate{}
	}
	f := Fate{Copies: 1, At: left.Add(d.Delay + time.Duration(jitter*float64(d.Jitter))), Bit: -1}
	if d.MarkAt > 0 && len(d.leaves) > d.MarkAt && isECT(b) {
		d.Stats.Marked++
		f.Mark = true
	}
	if held < d.Reorder {
		d.Stats.Reordered++
		f.At = f.At.Add(d.holdBack())
	} else {
		f.At = max(f.At, d.last)
		d.last = f.At
	}
	if twice < d.Duplicate {
		d.Stats.Duplicated++
		f.Copies = 2
	}
	if bad < d.Corrupt && isIPv4(b) {
		d.Stats.Corrupted++
		f.Bit = 8*ethernetHeader + int(bit*float64(8*(len(b)-ethernetHeader)))
	}
	return f
}

func (d *Direction) holdBack() time.Duration {
	if d.ReorderBy != 0 {
		return d.ReorderBy
	}
	return time.Millisecond + d.Delay/4
}

// leave returns when a packet of n bytes will have left at the path's rate, or false if too many wait already.
func (d *Direction) leave(now clock.Time, n int) (clock.Time, bool) {
	if d.Rate <= 0 {
		return now, true
	}
	for len(d.leaves) > 0 && d.leaves[0] <= now {
		d.leaves = d.leaves[1:]
	}
	d.Stats.Queued += uint64(len(d.leaves))
	limit := d.QueueLen
	if limit == 0 {
		limit = 1000
	}
	if len(d.leaves) > limit {
		return 0, false
	}
	d.idleAt = max(d.idleAt, now).Add(time.Duration(float64(n) * 8 * float64(time.Second) / float64(d.Rate)))
	d.leaves = append(d.leaves, d.idleAt)
	return d.idleAt, true
}

func isIPv4(b []byte) bool { return len(b) > ethernetHeader && b[12] == 0x08 && b[13] == 0 }

// isECT reports whether the frame is an IPv4 packet that may be marked.
func isECT(b []byte) bool {
	if !isIPv4(b) || len(b) < ethernetHeader+20 {
		return false
	}
	ecn := b[ethernetHeader+1] & 3
	return ecn == 1 || ecn == 2
}

// mark sets CE in an IPv4 header, and takes the difference out of its checksum (RFC 1624).
func mark(b []byte) {
	ip := b[ethernetHeader:]
	old := ip[1]
	ip[1] |= 3
	sum := uint32(^binary.BigEndian.Uint16(ip[10:])) + uint32(ip[1]-old)
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
}

package sim

import (
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/impair"
)

// Impairment says what a link does to packets, in each direction separately. The zero Impairment is a perfect link without delay.
type Impairment = impair.Config

// Burst is Gilbert's model of a link with good and bad times, where everything is lost in bad ones.
type Burst = impair.Burst

// LinkStats counts what became of the packets that entered one direction of a link.
type LinkStats struct {
	impair.Stats
	Down     uint64 `help:"packets dropped: the link was down"`
	Filtered uint64 `help:"packets dropped by the filter"`
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
	impair.Direction
	down, filtered uint64
}

// Impair changes what the link does to packets from a device on.
func (l *Link) Impair(from *Device, imp Impairment) { l.direction(from).Config = imp }

// Stats returns the counters of the packets from a device.
func (l *Link) Stats(from *Device) LinkStats {
	d := l.direction(from)
	return LinkStats{Stats: d.Stats, Down: d.down, Filtered: d.filtered}
}

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

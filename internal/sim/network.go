package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/impair"
)

// Network is a set of devices and links in virtual time. One goroutine uses it and all that belongs to it.
type Network struct {
	// Tap, if set, sees every packet that arrives, just before the receiver does. It must not keep b.
	Tap func(now clock.Time, from, to *Device, b []byte)
	// Sent, if set, sees every packet as its sender put it on the wire, before a link does anything to it. It must not keep b.
	Sent func(now clock.Time, from *Device, b []byte)
	// Taken, if set, sees every packet for which the receiver had a frame and a place in its ring. It must not keep b.
	Taken func(now clock.Time, from, to *Device, b []byte)
	// TurnTime is how much time a round of Run takes in which somebody worked; default 1 µs. It stands for the processor's
	// time, and without it a network without delays could do anything in no time.
	TurnTime time.Duration

	seed    uint64
	now     clock.Time
	seq     uint64
	events  eventHeap
	devices []*Device
	links   [][]*Link // by device
	nLinks  uint64
	free    [][]byte // buffers for packets
	err     error
}

// Start is the time at which a Network begins. It is not the zero Time, which means "not set".
const Start = clock.Time(time.Second)

// NewNetwork makes an empty network. All that is random in it comes from the seed.
func NewNetwork(seed uint64) *Network {
	return &Network{seed: seed, now: Start, TurnTime: time.Microsecond}
}

// completionStream sets the dice of devices apart from those of links.
const completionStream = 1 << 32

// Now returns the time.
func (n *Network) Now() clock.Time { return n.now }

// Seed returns the seed.
func (n *Network) Seed() uint64 { return n.seed }

// Err returns an error if somebody broke the rules of the frames: wrote to one between its transmission and its completion. It
// is the first such error; it does not stop the network.
func (n *Network) Err() error { return n.err }

// NewDevice adds a device without links.
func (n *Network) NewDevice(cfg Config) (*Device, error) {
	d, err := newDevice(cfg, len(n.devices), n)
	if err != nil {
		return nil, err
	}
	d.random = rand.New(rand.NewPCG(n.seed, completionStream+uint64(d.index)))
	n.devices = append(n.devices, d)
	n.links = append(n.links, nil)
	return d, nil
}

// Link joins two devices. A device with several links sends a packet on the one to the device whose address is the packet's
// destination, and on all of them a packet for a group or for an address that none has.
func (n *Network) Link(a, b *Device, imp Impairment) (*Link, error) {
	if a.wire != n || b.wire != n || a == b {
		return nil, errors.New("sim: a link joins two different devices of the same network")
	}
	l := &Link{a: a, b: b}
	l.ab.Direction = impair.NewDirection(imp, n.seed, 2*n.nLinks)
	l.ba.Direction = impair.NewDirection(imp, n.seed, 2*n.nLinks+1)
	n.nLinks++
	n.links[a.index] = append(n.links[a.index], l)
	n.links[b.index] = append(n.links[b.index], l)
	return l, nil
}

// send is called by a device's Flush.
func (n *Network) send(from *Device, b []byte, frames []frame.Desc) (completed bool) {
	if n.Sent != nil {
		n.Sent(n.now, from, b)
	}
	only := n.linkTo(from, b)
	for _, l := range n.links[from.index] {
		if only == nil || l == only {
			n.enter(l, from, b)
		}
	}
	if !from.cfg.lateCompletion() {
		return true
	}
	for _, d := range frames {
		n.schedule(event{at: n.completion(from), dev: from, packet: n.copyOf(from.pool.Bytes(d)), desc: d})
	}
	return false
}

// completion returns when a frame that a device sends now is completed.
func (n *Network) completion(d *Device) clock.Time {
	at := n.now.Add(d.cfg.CompletionDelay)
	if d.cfg.CompletionSpread > 0 {
		at = at.Add(time.Duration(d.random.Int64N(int64(d.cfg.CompletionSpread))))
	}
	if p := clock.Time(d.cfg.CompletionPeriod); p > 0 {
		at += (p - at%p) % p
	}
	return at
}

func (n *Network) flushed(*Device) {}

// linkTo returns the link to the device to which a packet is addressed, or nil.
func (n *Network) linkTo(from *Device, b []byte) *Link {
	if len(b) < 6 || len(n.links[from.index]) < 2 {
		return nil
	}
	for _, l := range n.links[from.index] {
		if l.peer(from).cfg.HardwareAddr == [6]byte(b) {
			return l
		}
	}
	return nil
}

// enter puts a packet on one link.
func (n *Network) enter(l *Link, from *Device, b []byte) {
	d := l.direction(from)
	switch {
	case l.Down:
		d.Stats.Packets++
		d.down++
		return
	case l.Filter != nil && !l.Filter(n.now, from, b):
		d.Stats.Packets++
		d.filtered++
		return
	}
	f := d.Decide(n.now, b)
	for range f.Copies {
		packet := n.copyOf(b)
		f.Damage(packet)
		n.schedule(event{at: f.At, dev: l.peer(from), from: from, packet: packet})
	}
}

func (n *Network) schedule(e event) {
	e.seq = n.seq
	n.seq++
	n.events.push(e)
}

// happen lets everything happen that is due by now.
func (n *Network) happen() {
	for len(n.events) > 0 && n.events[0].at <= n.now {
		e := n.events.pop()
		if e.from == nil {
			n.complete(&e)
		} else {
			n.arrive(&e)
		}
		n.free = append(n.free, e.packet)
	}
}

func (n *Network) arrive(e *event) {
	if n.Tap != nil {
		n.Tap(n.now, e.from, e.dev, e.packet)
	}
	if e.dev.deliver(e.packet, &e.from.stats) && n.Taken != nil {
		n.Taken(n.now, e.from, e.dev, e.packet)
	}
	e.dev.deliveries()
}

func (n *Network) complete(e *event) {
	if e.dev.closed.Load() {
		return
	}
	if n.err == nil && !bytes.Equal(e.packet, e.dev.pool.Bytes(e.desc)) {
		n.err = fmt.Errorf("sim: device %s: frame %d was written to while it was in transmission", e.dev.Name(), e.desc.Frame)
	}
	e.dev.complete(e.desc.Frame)
}

// copyOf returns a copy of b in a buffer that is used again.
func (n *Network) copyOf(b []byte) []byte {
	var buf []byte
	if last := len(n.free) - 1; last >= 0 {
		buf, n.free = n.free[last], n.free[:last]
	}
	return append(buf[:0], b...)
}

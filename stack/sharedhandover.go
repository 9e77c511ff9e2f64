package stack

import (
	"fmt"
	"maps"
	"net/netip"
	"os"

	"github.com/xdpstack/xdpstack/internal/fdpass"
	"github.com/xdpstack/xdpstack/internal/reserve"
	"github.com/xdpstack/xdpstack/ipv4"
)

// SharedHandover is what goes over of a stack that shares the kernel's addresses: the sockets that reserve its ports, so that none is
// free for a moment. What else it knows the other process asks the kernel.
type SharedHandover struct {
	Dial  int          `json:"dial"`           // so many of the files are ports for dialing; they come first
	Ports int          `json:"ports"`          // and so many others
	Gone  []netip.Addr `json:"gone,omitempty"` // addresses that the kernel has lost, whose ports the program has
}

// offer describes the ports for another process, and opens their files once more. From then on none is opened, until stay.
func (d *sharing) offer() (*SharedHandover, []*os.File, error) {
	d.moving.Store(true)
	d.mu.Lock()
	h := &SharedHandover{Gone: append([]netip.Addr(nil), d.gone...)}
	d.mu.Unlock()
	p := &d.ports
	p.mu.Lock()
	defer p.mu.Unlock()
	all := append([]*reserve.Port(nil), p.dial...)
	h.Dial = len(all)
	for _, ports := range []map[ownedPort]*reserve.Port{p.taken, p.inherited} {
		for _, q := range ports {
			all = append(all, q)
		}
	}
	h.Ports = len(all) - h.Dial
	var files []*os.File
	for _, q := range all {
		f, err := q.File()
		if err != nil {
			fdpass.CloseAll(files)
			d.moving.Store(false)
			return nil, nil, err
		}
		files = append(files, f)
	}
	return h, files, nil
}

// stay undoes offer.
func (d *sharing) stay() { d.moving.Store(false) }

// letGo leaves program and ports to the process that has taken them over: it has sockets of its own, and a conflict is to name it.
func (d *sharing) letGo() {
	d.ports.changes.Lock()
	defer d.ports.changes.Unlock()
	d.mu.Lock()
	d.program = nil
	clear(d.steered)
	d.gone = nil
	d.mu.Unlock()
	p := &d.ports
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.dial {
		_ = q.Close()
	}
	for _, ports := range []map[ownedPort]*reserve.Port{p.taken, p.inherited} {
		for _, q := range ports {
			_ = q.Close()
		}
	}
}

// inherit takes the ports that another process hands over, and returns those for dialing.
func (d *sharing) inherit(h *Handover) (dial []*reserve.Port, err error) {
	d.ports.inherited = make(map[ownedPort]*reserve.Port)
	d.ports.held = 1 // those that this process closes too: the one before may have connections there
	_, _, files := h.parts()
	for i, f := range files {
		q, protocol, a, err := reserve.Adopt(f)
		if err != nil {
			for _, q := range dial {
				_ = q.Close()
			}
			return nil, fmt.Errorf("%w: %w", ErrHandover, err)
		}
		if i < h.Shared.Dial {
			dial = append(dial, q)
			continue
		}
		at := endpoint{port: q.Number()}
		if !a.IsUnspecified() {
			at.addr, _ = ipv4.AddrFrom(a)
		}
		d.ports.inherited[ownedPort{protocol, at}] = q
	}
	d.gone = h.Shared.Gone
	for _, a := range d.gone {
		d.steered[a] = struct{}{}
	}
	return dial, nil
}

// inherits returns the ports of the process before that this one has not opened.
func (p *ports) inherits() map[ownedPort]*reserve.Port {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.inherited)
}

// disinherit gives back the ports that only the process before had, and those that were closed since, now that it has ended.
func (d *sharing) disinherit() {
	p := &d.ports
	p.changes.Lock()
	for key, q := range p.inherits() {
		d.disown(key)
		_ = q.Close()
	}
	p.mu.Lock()
	clear(p.inherited)
	p.held--
	p.mu.Unlock()
	p.changes.Unlock()
	d.releaseIn(firstRelease)
}

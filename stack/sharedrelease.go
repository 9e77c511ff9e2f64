package stack

import (
	"context"
	"maps"
	"time"

	"github.com/xdpstack/xdpstack/ipv4"
)

// Between two looks whether connections of a port that is closed are still open. Each look goes through the stack's connections until it
// has seen one of every such port.
const (
	firstRelease = 10 * time.Millisecond
	lastRelease  = 30 * time.Second
)

// HoldPorts keeps the ports of a Shared stack reserved, those too that are closed, until release is called. So nobody else can have a port
// that is closed to be opened again at once, by another service for example, and a process that gave up its privileges does not lose one
// that it could not reserve again. Other stacks have their ports in any case.
func (s *Stack) HoldPorts() (release func()) {
	d := s.shared
	if d == nil {
		return func() {}
	}
	d.ports.mu.Lock()
	d.ports.held++
	d.ports.mu.Unlock()
	return func() {
		d.ports.mu.Lock()
		d.ports.held--
		d.ports.mu.Unlock()
		d.releaseIn(firstRelease)
	}
}

// retire notes that a port was closed: it is the kernel's again when nothing of it is left.
func (d *sharing) retire(protocol uint8, at endpoint) {
	p := &d.ports
	p.mu.Lock()
	key := ownedPort{protocol, at}
	if p.taken[key] != nil {
		p.retired[key] = struct{}{}
	}
	now := protocol == ipv4.ProtoUDP && p.held == 0
	p.mu.Unlock()
	if now {
		d.give(protocol, at)
		return
	}
	d.releaseIn(firstRelease)
}

// releaseIn looks after a time which of the ports that were closed can be given back, and again until none is left.
func (d *sharing) releaseIn(wait time.Duration) {
	p := &d.ports
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if len(p.retired) > 0 && p.held == 0 {
		p.timer = time.AfterFunc(wait, func() {
			if d.release() {
				d.releaseIn(min(2*wait, lastRelease))
			}
		})
	}
}

// release gives back what nothing is left of, and reports whether there is more.
func (d *sharing) release() (more bool) {
	d.mu.Lock()
	s := d.stack
	d.mu.Unlock()
	if s == nil {
		return false // It was not opened.
	}
	idle := d.retired()
	if !s.unused(idle) {
		return false
	}
	s.mu.Lock() // nobody opens one of them meanwhile
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	for key := range d.retired() {
		if _, ok := idle[key]; ok {
			d.give(key.protocol, key.at)
		}
	}
	return len(d.retired()) > 0
}

// retired returns the ports that are closed; while ports are held, none.
func (d *sharing) retired() map[ownedPort]struct{} {
	p := &d.ports
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[ownedPort]struct{}, len(p.retired))
	if p.held == 0 {
		for key := range p.retired {
			all[key] = struct{}{}
		}
	}
	return all
}

// unused takes out of ports those that TCP connections have. What is in TIME-WAIT does not count: what still comes to it the kernel
// resets, and the peer has had everything. It reports false if the stack is closed.
func (s *Stack) unused(ports map[ownedPort]struct{}) bool {
	left := maps.Clone(ports)
	maps.DeleteFunc(left, func(p ownedPort, _ struct{}) bool { return p.protocol != ipv4.ProtoTCP })
	if len(left) == 0 {
		return true
	}
	query := ConnQuery{Kinds: KindConn, Filter: func(c *ConnInfo) bool {
		for _, a := range [...]ipv4.Addr{{}, c.Local.Addr().As4()} {
			key := ownedPort{ipv4.ProtoTCP, endpoint{addr: a, port: c.Local.Port()}}
			delete(ports, key)
			delete(left, key)
		}
		return len(left) == 0 // there is no more to find
	}}
	for _, err := range s.Connections(context.Background(), query) {
		return err == nil
	}
	return true
}

package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/reserve"
	"github.com/xdpstack/xdpstack/ipv4"
)

// ports are the ports of a shared-address stack, each reserved by a socket of the kernel's.
type ports struct {
	binder *reserve.Binder
	dial   []*reserve.Port                                                   // for connections that are dialed, by number
	ask    func(protocol uint8, a netip.Addr, port uint16) (*os.File, error) // see Config.ReservePort

	// changes is held while a port is reserved and steered, or the other way round. Shards do not wait for it.
	changes sync.Mutex

	mu      sync.Mutex
	taken   map[ownedPort]*reserve.Port
	retired map[ownedPort]struct{} // those of them that were closed: see release
	held    int                    // calls of HoldPorts
	timer   *time.Timer            // of release
	// inherited are those of the process before which this one has not opened, or not yet.
	inherited map[ownedPort]*reserve.Port
}

// The ports for dialing are those that the kernel does not choose for connections of its own, unless it is configured to
// (net.ipv4.ip_local_port_range: 32768 to 60999), and if these do not suffice, the last of the others.
const firstDialPort = 61000

// open reserves the ports for dialing, so that none has to be while connections are: those that the process before had, if there was one,
// and others if it had fewer.
func (p *ports) open(cfg *Config, had []*reserve.Port) (err error) {
	p.taken, p.retired = make(map[ownedPort]*reserve.Port), make(map[ownedPort]struct{})
	p.ask = cfg.ReservePort
	if p.binder, err = reserve.NewBinder(); err != nil {
		return err
	}
	n := max(cfg.DialPorts, 0)
	if n > numEphemeral {
		return fmt.Errorf("%w: DialPorts %d is more than the %d that there are", ErrConfig, n, numEphemeral)
	}
	for _, q := range had[min(n, len(had)):] {
		p.inherited[ownedPort{ipv4.ProtoTCP, endpoint{port: q.Number()}}] = q
	}
	p.dial, err = p.binder.BindSome(reserve.TCP, max(n-len(had), 0), func(i int) (uint16, bool) {
		if port := firstDialPort + i; port <= 65535 {
			return uint16(port), true
		}
		port := firstDialPort - 1 - (i - (65536 - firstDialPort))
		return uint16(port), port >= firstEphemeral
	})
	p.dial = append(p.dial, had[:min(n, len(had))]...)
	if err == nil && len(p.dial) < n {
		err = fmt.Errorf("%w: of %d ports for dialing %d are free: see Config.DialPorts", ErrNoPort, n, len(p.dial))
	}
	if err != nil {
		return err
	}
	slices.SortFunc(p.dial, func(a, b *reserve.Port) int { return int(a.Number()) - int(b.Number()) })
	return nil
}

// isDial reports whether a port is reserved for dialing.
func (p *ports) isDial(port uint16) bool {
	_, ok := slices.BinarySearchFunc(p.dial, port, func(q *reserve.Port, port uint16) int { return int(q.Number()) - int(port) })
	return ok
}

// reserve takes a port from the kernel; of port 0 it chooses one.
func (p *ports) reserve(protocol uint8, at *endpoint) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.retired, ownedPort{protocol, *at})
	if _, ok := p.taken[ownedPort{protocol, *at}]; ok || protocol == ipv4.ProtoTCP && p.isDial(at.port) {
		return nil
	}
	got, err := p.inherited[ownedPort{protocol, *at}], error(nil)
	if got == nil {
		got, err = p.binder.Bind(protocol, at.addr.Netip(), at.port)
	}
	if errors.Is(err, unix.EACCES) && p.ask != nil {
		got, err = p.askFor(protocol, *at)
	}
	if err != nil {
		return err
	}
	delete(p.inherited, ownedPort{protocol, *at})
	at.port = got.Number()
	p.taken[ownedPort{protocol, *at}] = got
	return nil
}

// askFor has another process reserve a port.
func (p *ports) askFor(protocol uint8, at endpoint) (*reserve.Port, error) {
	f, err := p.ask(protocol, at.addr.Netip(), at.port)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	got, is, a, err := reserve.Adopt(f)
	if err != nil {
		return nil, err
	}
	if is != protocol || got.Number() != at.port || a != at.addr.Netip() {
		_ = got.Close()
		return nil, fmt.Errorf("%w: asked for port %d of %v, and got port %d of %v", ErrNoPort, at.port, at.addr.Netip(), got.Number(), a)
	}
	return got, nil
}

// release gives a port back.
func (p *ports) release(protocol uint8, at endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := ownedPort{protocol, at}
	if got := p.taken[key]; got != nil {
		_ = got.Close()
		delete(p.taken, key)
	}
	delete(p.retired, key)
}

func (p *ports) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.dial {
		_ = q.Close()
	}
	for _, q := range p.taken {
		_ = q.Close()
	}
	for _, q := range p.inherited {
		_ = q.Close()
	}
	p.dial, p.taken, p.retired, p.inherited = nil, nil, nil, nil
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.binder != nil { // else open has failed
		p.binder.Close()
		p.binder = nil
	}
}

// take makes a port the stack's: nobody else can have it, and what comes to it comes here.
func (d *sharing) take(protocol uint8, at *endpoint) error {
	d.ports.changes.Lock()
	defer d.ports.changes.Unlock()
	if d.moving.Load() {
		return fmt.Errorf("%w: another process takes its ports over", ErrHandover)
	}
	if err := d.ports.reserve(protocol, at); err != nil {
		return err
	}
	p := ownedPort{protocol, *at}
	if err := d.own(p); err != nil {
		d.disown(p)
		d.ports.release(protocol, *at)
		return err
	}
	return nil
}

// give undoes take.
func (d *sharing) give(protocol uint8, at endpoint) {
	d.ports.changes.Lock()
	defer d.ports.changes.Unlock()
	d.disown(ownedPort{protocol, at})
	d.ports.release(protocol, at)
}

// takeDial makes a port the stack's for connections that are dialed from just that one. Where it cannot, mayDial says so.
func (d *sharing) takeDial(port uint16) {
	if !d.mayDial(port) {
		_ = d.take(ipv4.ProtoTCP, &endpoint{port: port})
	}
}

// mayDial reports whether connections may be dialed from a port of all addresses. Shards may call it: it is for who chooses his
// port.
func (d *sharing) mayDial(port uint16) bool {
	if d.ports.isDial(port) {
		return true
	}
	d.ports.mu.Lock()
	defer d.ports.mu.Unlock()
	key := ownedPort{ipv4.ProtoTCP, endpoint{port: port}}
	if _, ok := d.ports.taken[key]; !ok {
		return false
	}
	delete(d.ports.retired, key) // if it was closed: it stays now
	return true
}

// maxPorts returns how many (protocol, address, port) the program may have to steer: room for more addresses than there are now,
// and for listening.
func (d *sharing) maxPorts() int {
	const listened, addresses = 1024, 16
	n := max(2*len(d.view.Load().paths.Addresses), addresses)
	return min((len(d.dialPorts)+listened)*n, 1<<20)
}

// mac and mtu return what the interface has, which may be a VLAN of the device's.
func (d *sharing) mac(device [6]byte) [6]byte {
	if m := d.view.Load().paths.MAC; m != [6]byte{} {
		return m
	}
	return device
}

func (d *sharing) mtu(device int) int { return min(device, d.view.Load().paths.MTU) }

package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/kernelnet"
	"github.com/xdpstack/xdpstack/internal/reserve"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// SharedStats count what a Shared stack does to follow the kernel.
type SharedStats struct {
	kernelnet.Stats
	Untold uint64 `help:"times that a shard was not told of a neighbour, for it had too much to do: it asks again"`
}

// Shared returns the counters of a Shared stack, or nil of one with addresses of its own.
func (s *Stack) Shared() *SharedStats {
	if s.shared == nil {
		return nil
	}
	return &SharedStats{Stats: s.shared.follower.Stats(), Untold: s.shared.untold.Load()}
}

// IgnoredRules returns the kernel's policy rules (ip rule) that a Shared stack does not follow, because they look at more than addresses
// and interfaces: each by its priority, and with what that is.
func (s *Stack) IgnoredRules() []string {
	if s.shared == nil {
		return nil
	}
	return s.shared.view.Load().paths.Ignored
}

// InVRF reports whether the interface of a Shared stack is in a VRF. Its ports are reserved outside of that.
func (s *Stack) InVRF() bool { return s.shared != nil && s.shared.view.Load().paths.VRF }

// sharing is what a stack that shares the kernel's addresses has for that.
//
//	kernel ──► follower ──► view, one for goroutines (atomic) and a copy for each shard (by a command)
//	               │
//	               └──────► XDP program: each owned port, of each address that the kernel has
//
// Its lock is held while the program's ports are changed, and not by shards.
type sharing struct {
	stack    *Stack
	follower *kernelnet.Follower
	view     atomic.Pointer[addressing]
	untold   atomic.Uint64 // neighbours that a shard was not told: its mailbox was full

	ports  ports
	moving atomic.Bool // another process is given the ports, or has them
	// dialPorts are reserved for connections that are dialed.
	dialPorts []uint16

	mu      sync.Mutex
	program *bpf.Program            // nil before Open has one
	steered map[netip.Addr]struct{} // the addresses whose ports the program has
	gone    []netip.Addr            // those of them that the kernel has not any more, the oldest first
	owned   map[ownedPort]struct{}  // what it has of them
}

// ownedPort is a port of one protocol, of one address or of all.
type ownedPort struct {
	protocol uint8
	at       endpoint
}

// openSharing reads what the kernel has, and reserves the ports for dialing. From is nil, or what another process hands over.
func openSharing(cfg *Config, from *Handover) (*sharing, error) {
	d := &sharing{steered: make(map[netip.Addr]struct{}), owned: make(map[ownedPort]struct{})}
	ready := make(chan struct{}) // the stack is there: nothing is told before
	var err error
	d.follower, err = kernelnet.Open(kernelnet.Config{
		Interface: cfg.Interface,
		Changed:   func(s *kernelnet.Snapshot) { <-ready; d.changed(s) },
		Told:      func(n kernelnet.Neighbour) { <-ready; d.tell(n) },
	})
	if err != nil {
		return nil, err
	}
	now := d.follower.Snapshot()
	close(ready)
	if len(now.Addresses) == 0 {
		err = fmt.Errorf("%w: Shared: the kernel has no IPv4 address on %s: give it one with: ip addr add ADDR/LEN dev %s", ErrConfig,
			cfg.Interface, cfg.Interface)
	}
	var dial []*reserve.Port
	if err == nil && from != nil {
		dial, err = d.inherit(from)
	}
	if err == nil {
		err = d.ports.open(cfg, dial)
	}
	if err != nil {
		d.ports.close()
		return nil, errors.Join(err, d.follower.Close())
	}
	for _, p := range d.ports.dial {
		d.dialPorts = append(d.dialPorts, p.Number())
	}
	d.view.Store(viewOf(now))
	return d, nil
}

// viewOf makes of a snapshot what packets are looked at with.
func viewOf(s *kernelnet.Snapshot) *addressing {
	a := &addressing{paths: s, others: &addrset.Set{}}
	ranges := make([]AddrRange, 0, len(s.Addresses))
	for i, p := range s.Addresses {
		ip := ipv4.Addr(p.Addr().As4())
		n := newNetwork(ip, p.Bits())
		if i == 0 {
			a.local, a.network = ip, n
			continue
		}
		a.more = append(a.more, n)
		ranges = append(ranges, AddrRange{First: p.Addr()})
	}
	if set, err := addrset.New(ranges...); err == nil {
		a.others = &set
	}
	return a
}

// start has the program steer the ports, once it is there, and takes what has changed since.
func (d *sharing) start(s *Stack, program *bpf.Program) error {
	d.mu.Lock()
	d.stack, d.program = s, program
	for _, port := range d.dialPorts {
		d.owned[ownedPort{ipv4.ProtoTCP, endpoint{port: port}}] = struct{}{}
	}
	for p := range d.ports.inherits() {
		d.owned[p] = struct{}{}
	}
	d.mu.Unlock()
	view := d.view.Load()
	for _, sh := range s.shards {
		sh.call(func(sh *Shard) { sh.readdress(view) })
	}
	return d.steer(d.follower.Snapshot())
}

// changed takes a snapshot, on the follower's goroutine.
func (d *sharing) changed(now *kernelnet.Snapshot) {
	view := viewOf(now)
	before := d.view.Swap(view)
	err := d.steer(now)
	d.mu.Lock()
	s := d.stack
	d.mu.Unlock()
	if s == nil {
		return // It looks itself when it is there.
	}
	for _, sh := range s.shards {
		sh.call(func(sh *Shard) { sh.readdress(view) })
	}
	if err != nil || !slices.Equal(before.paths.Addresses, now.Addresses) {
		s.tellLink(LinkEvent{
			Kind: LinkAddresses, Interface: s.cfg.Interface, Shards: len(s.shards), MTU: s.MTU(), Addresses: prefixesOf(now), Err: err,
			Shared: true,
		})
	}
}

// readdress takes what the kernel has now.
func (s *Shard) readdress(a *addressing) {
	s.addressing = *a
	s.core.LinkMSS = 0
	if mtu := a.paths.MTU; mtu < s.mtu {
		s.core.LinkMSS = uint16(max(mtu-ipv4.MinHeaderLen-tcp.MinHeaderLen, tcp.MinMSS))
	}
	s.neigh.Renew() // All connections look again where they are.
}

// limitPath has a connection send no more than its route takes.
func (s *Shard) limitPath(c *Conn) {
	f := c.tcp.Flow()
	if p, ok := s.paths.PathFrom(f.LocalAddr, f.RemoteAddr); ok && p.MTU < s.mtu {
		c.tcp.LimitMTU(uint32(p.MTU), s.now)
	}
}

// tell tells the shards what the kernel has for a neighbour. Who is not told asks again.
func (d *sharing) tell(n kernelnet.Neighbour) {
	d.mu.Lock()
	s := d.stack
	d.mu.Unlock()
	if s == nil {
		return
	}
	for _, sh := range s.shards {
		ok := sh.mailbox.Push(command{call: func(s *Shard) {
			if n.Known {
				s.neigh.Told(n.IP, ethernet.Addr(n.MAC), s.now)
			} else {
				s.neigh.Forget(n.IP)
			}
		}})
		if !ok {
			d.untold.Add(1)
		}
		sh.wake()
	}
}

// maxGone is how many addresses keep their ports after the kernel has lost them. One that comes back is the kernel's at once, a
// little before we know, and in between it would reset the connections that wait for it.
const maxGone = 4

// steer makes the program steer all owned ports of the addresses that the kernel has now.
func (d *sharing) steer(now *kernelnet.Snapshot) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.program == nil {
		return nil
	}
	var all error
	d.gone = slices.DeleteFunc(d.gone, now.Has)
	for a := range d.steered {
		if !now.Has(a) && !slices.Contains(d.gone, a) {
			d.gone = append(d.gone, a)
		}
	}
	for len(d.gone) > maxGone {
		all = errors.Join(all, d.leave(d.gone[0]))
		d.gone = d.gone[1:]
	}
	for _, a := range now.Addresses {
		if _, ok := d.steered[a.Addr()]; ok {
			continue
		}
		d.steered[a.Addr()] = struct{}{}
		for p := range d.owned {
			if !p.covers(a.Addr()) {
				continue
			}
			if err := d.program.AddPort(p.protocol, a.Addr(), p.at.port); err != nil {
				return errors.Join(all, err) // The others would fail too.
			}
		}
	}
	return all
}

// leave gives the kernel all ports of an address.
func (d *sharing) leave(a netip.Addr) (err error) {
	for p := range d.owned {
		if p.covers(a) {
			err = errors.Join(err, d.program.RemovePort(p.protocol, a, p.at.port))
		}
	}
	delete(d.steered, a)
	return err
}

func (p *ownedPort) covers(a netip.Addr) bool { return p.at.all() || p.at.addr.Netip() == a }

// own has the program steer a port, of the addresses that are there.
func (d *sharing) own(p ownedPort) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.owned[p]; ok {
		return nil
	}
	d.owned[p] = struct{}{}
	for a := range d.steered {
		if !p.covers(a) {
			continue
		}
		if err := d.program.AddPort(p.protocol, a, p.at.port); err != nil {
			return err
		}
	}
	return nil
}

// disown undoes own.
func (d *sharing) disown(p ownedPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.owned, p)
	for a := range d.steered {
		if p.covers(a) {
			_ = d.program.RemovePort(p.protocol, a, p.at.port)
		}
	}
}

// close gives the ports back to the kernel.
func (d *sharing) close() { d.ports.close() }

// first returns the first address that the kernel has.
func (d *sharing) first() (p netip.Prefix) {
	if a := d.view.Load().paths.Addresses; len(a) > 0 {
		p = a[0].Prefix
	}
	return p
}

// addresses returns all that it has.
func (d *sharing) addresses() []netip.Prefix { return prefixesOf(d.view.Load().paths) }

func prefixesOf(s *kernelnet.Snapshot) (list []netip.Prefix) {
	for _, a := range s.Addresses {
		list = append(list, a.Prefix)
	}
	return list
}

package stack

import (
	"fmt"
	"net/netip"
	"syscall"

	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// AddrRange is the IPv4 addresses from First to Last, both included; a zero Last means First alone.
type AddrRange = addrset.Range

// ParseAddrRange reads a prefix ("10.0.0.0/24"), a range ("10.0.0.5-10.0.0.20") or an address ("10.0.0.7").
func ParseAddrRange(s string) (AddrRange, error) { return addrset.Parse(s) }

// Bounds of Config.Addresses.
const (
	maxAddrRanges = 256
	maxAddresses  = 1 << 24
)

// others returns the stack's addresses beside the first.
func (cfg *Config) others() (addrset.Set, error) {
	if len(cfg.Addresses) > maxAddrRanges {
		return addrset.Set{}, fmt.Errorf("%w: Addresses has %d ranges, and %d are possible", ErrConfig, len(cfg.Addresses), maxAddrRanges)
	}
	set, err := addrset.New(cfg.Addresses...)
	if err != nil {
		return set, fmt.Errorf("%w: Addresses: %w", ErrConfig, err)
	}
	if n := set.Len(); n > maxAddresses {
		return set, fmt.Errorf("%w: Addresses has %d addresses, and %d are possible", ErrConfig, n, maxAddresses)
	}
	for _, r := range cfg.Addresses {
		first, _ := ipv4.AddrFrom(r.First)
		last := first
		if r.Last.IsValid() {
			last, _ = ipv4.AddrFrom(r.Last)
		}
		if !first.IsHost() || !last.IsHost() || first[0] < 127 && last[0] > 127 {
			return set, fmt.Errorf("%w: Addresses: %v has addresses that no host can have", ErrConfig, r)
		}
	}
	if g, ok := ipv4.AddrFrom(cfg.Gateway); ok && set.Has(g) {
		return set, fmt.Errorf("%w: Addresses: the Gateway %v is among them: leave it out with two ranges", ErrConfig, g)
	}
	if !cfg.Address.IsValid() {
		return set, nil
	}
	own := [][4]byte{cfg.Address.Addr().As4()}
	if cfg.Address.Bits() < 31 {
		network := addrset.FromPrefix(cfg.Address)
		own = append(own, network.First.As4(), network.Last.As4())
	}
	return set.Without(own...), nil
}

// source is where a connection comes from.
type source struct {
	addr   ipv4.Addr // of the stack's
	port   uint16    // 0: an ephemeral one
	spread bool      // from each of the further addresses in turn, if there are any, instead of addr
}

// first is where connections come from that say nothing else. In shared-address mode that depends on where they go: see sourceTo.
func (s *Stack) first() source { return source{addr: s.local} }

// source returns where the dialer's connections come from.
func (d *Dialer) source() (source, error) {
	from := d.Stack.first()
	from.port, from.spread = d.LocalAddr.Port(), d.Spread
	if d.Spread && d.LocalAddr != (netip.AddrPort{}) {
		return from, fmt.Errorf("%w: Dialer.Spread chooses addresses and ports, and LocalAddr is %v", ErrConfig, d.LocalAddr)
	}
	a := d.LocalAddr.Addr()
	if !a.IsValid() || a.IsUnspecified() {
		return from, nil
	}
	var err error
	from.addr, err = d.Stack.ownAddr(a)
	return from, err
}

// Bounds of the search for a free port where addresses are taken in turn. After so many addresses that have none among so many ports,
// one is searched whole.
const (
	spreadAddresses = 64
	spreadPorts     = 256
)

// chooseFlow completes a flow that has its remote end, from a source on this shard.
func (s *Shard) chooseFlow(f *tcp.Flow, from source) (hash uint32, err error) {
	f.LocalAddr = from.addr
	if from.port != 0 {
		return s.takePort(f, from)
	}
	ok := false
	if n := s.others.Len(); from.spread && n > 0 {
		for range min(n, spreadAddresses) {
			f.LocalAddr = s.others.At(s.sourceSeq % n)
			s.sourceSeq++
			if hash, ok = s.choosePort(f, spreadPorts); ok {
				return hash, nil
			}
		}
	}
	if hash, ok = s.choosePort(f, numEphemeral); !ok {
		if s.paths != nil {
			return 0, errNoDialPort
		}
		return 0, ErrNoPort
	}
	return hash, nil
}

// takePort gives the flow the port that its source has.
func (s *Shard) takePort(f *tcp.Flow, from source) (hash uint32, err error) {
	f.LocalPort = from.port
	if owner := s.stack.homes.owner(f); owner != s {
		return 0, fmt.Errorf("%w: connections of port %d belong to shard %d: connect on that", ErrConfig, from.port, owner.id)
	}
	if d := s.stack.shared; d != nil && !d.mayDial(from.port) {
		return 0, fmt.Errorf("port %d of %v is not reserved for this stack: another program has it (%w)", f.LocalPort, from.addr,
			syscall.EADDRINUSE)
	}
	hash = s.hash(f)
	_, theirs := s.theirs[*f]
	if theirs || s.listenerAt(f.LocalAddr, f.LocalPort) != nil || s.flows.lookup(&s.conns, f, hash) != nil || s.timeWait.Has(*f) {
		return 0, fmt.Errorf("port %d of %v is in use (%w)", f.LocalPort, from.addr, syscall.EADDRINUSE)
	}
	if from.port < firstEphemeral {
		s.stack.dialsLow.Store(true)
	}
	return hash, nil
}

// dialFrom chooses the shard of an outgoing connection: in turn, or that whose port it is.
func (s *Stack) dialFrom(remote netip.AddrPort, from source) *Shard {
	if from.port == 0 {
		return s.dialShard()
	}
	if d := s.shared; d != nil {
		if from.addr.IsUnspecified() {
			from.addr = d.view.Load().sourceTo(remote.Addr().As4())
		}
		d.takeDial(from.port)
	}
	f := tcp.Flow{LocalAddr: from.addr, RemoteAddr: remote.Addr().As4(), LocalPort: from.port, RemotePort: remote.Port()}
	return s.homes.owner(&f)
}

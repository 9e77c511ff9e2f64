package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/rss"
)

// Open attaches to cfg.Interface, opens a shard for each of its queues, and starts them: the stack owns cfg.Address and cfg.Addresses from
// then on, or of a Shared one the ports that are opened, and the kernel keeps everything else that the interface carries.
//
// All descriptors that belong to a network namespace are opened on the calling goroutine's thread, so a caller that has locked
// itself to a thread in another namespace gets a stack there.
func Open(cfg Config) (*Stack, error) {
	full, err := cfg.withDefaults() // before anything is attached
	if err != nil {
		return nil, err
	}
	on, err := lookBelow(&full, nil)
	if err != nil {
		return nil, err
	}
	return openOn(full, on)
}

// openOn is Open with a configuration that is complete, and what it is for.
func openOn(full Config, on below) (*Stack, error) {
	others, err := full.others()
	if err != nil {
		return nil, errors.Join(err, on.close())
	}
	prefixes := others.Prefixes()
	steer := bpf.Config{Mode: bpf.OwnAddress, VLAN: on.vlan, MaxPrefixes: len(prefixes), Filter: full.Filter}
	if on.shared != nil {
		steer = bpf.Config{Mode: bpf.SharedAddress, VLAN: on.vlan, MaxPorts: on.shared.maxPorts(), Filter: full.Filter}
	} else if err := checkKernelAddresses(full.Address.Addr(), &others); err != nil {
		return nil, err
	}
	if full.Shield != bpf.ShieldOff {
		steer.ShieldFlows = full.MaxConns
	}
	open := full.OpenInterface
	if open == nil {
		open = afxdp.Open
	}
	iface, err := open(on.device, full.AFXDP, steer)
	if err != nil {
		return nil, errors.Join(err, on.close())
	}
	s, err := newOn(full, iface, on)
	if err != nil {
		return nil, errors.Join(err, iface.Close(), on.close())
	}
	if on.shared == nil {
		if err := s.ownAddresses(iface.Program(), prefixes); err != nil {
			return nil, errors.Join(err, iface.Close())
		}
	}
	s.startShield()
	s.Start()
	err = s.checkAffinity()
	if err == nil {
		err = s.followLink(iface)
	}
	switch {
	case err != nil:
	case on.shared != nil:
		err = on.shared.start(s, iface.Program())
	default:
		err = s.claimAddress()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// lookBelow finds out what the stack is to be on. From is nil, or what another process hands over.
func lookBelow(cfg *Config, from *Handover) (on below, err error) {
	if on.device, on.vlan, err = afxdp.Below(cfg.Interface); err != nil || !cfg.Shared {
		return on, err
	}
	on.shared, err = openSharing(cfg, from)
	return on, err
}

// close gives back what there is for a stack that does not come to be.
func (on *below) close() error {
	if on.shared == nil {
		return nil
	}
	on.shared.close()
	return on.shared.follower.Close()
}

// ownAddresses has the program take what is for the stack's addresses.
func (s *Stack) ownAddresses(program *bpf.Program, others []netip.Prefix) error {
	err := program.AddAddress(s.address.Addr())
	for _, p := range others {
		err = errors.Join(err, program.AddPrefix(p))
	}
	return err
}

// newOn makes a stack on the queues of an interface.
func newOn(full Config, iface *afxdp.Interface, on below) (*Stack, error) {
	queues := iface.Queues()
	devices := make([]Device, len(queues))
	for i, q := range queues {
		devices[i] = q
	}
	if full.RxBudget == 0 {
		// What is promised must fit the receive rings; a quarter of them is left for everything that no window governs.
		full.RxBudget = uint32(iface.RxRing()) * uint32(min(iface.Info().MTU, queues[0].Pool().ChunkSize()-headroom)) / 4 * 3
	}
	on.shield = iface.Program().Shield()
	s, err := newStack(full, on, devices)
	if err != nil {
		return nil, err
	}
	s.iface = iface
	s.tapBelow.openTaps(iface.Program())
	s.findHomes(iface)
	s.placeShards(iface)
	return s, nil
}

// findHomes learns how the interface spreads packets over its queues. Many do not tell, veth for one; then segments that come to the wrong
// shard are passed on.
func (s *Stack) findHomes(iface *afxdp.Interface) {
	if len(s.shards) == 1 && iface.Info().RxQueues == 1 {
		return
	}
	r, err := rss.Open(iface.Info().Name)
	if err != nil {
		return
	}
	queues := make([]int, len(s.shards))
	for i, q := range iface.Queues() {
		queues[i] = q.Index()
	}
	s.homes.init(r, queues, iface.Info().RxQueues)
}

// CheckKernel finds what Open would refuse because of the addresses that the kernel has at the moment.
func (cfg *Config) CheckKernel() error {
	if cfg.Shared {
		return nil
	}
	others, err := cfg.others()
	if err != nil {
		return err
	}
	return checkKernelAddresses(cfg.Address.Addr(), &others)
}

// checkKernelAddresses makes sure that the kernel does not have the stack's addresses, on whatever interface: it answers for its addresses
// on all of them.
func checkKernelAddresses(address netip.Addr, others *addrset.Set) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("stack: list the kernel's interfaces: %w", err)
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			continue // the interface has just been removed
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || !p.Addr().Is4() || p.Addr() != address && !others.Has(p.Addr().As4()) {
				continue
			}
			what := "give the stack another"
			if p.Addr() != address {
				what = fmt.Sprintf("leave it out of Addresses, which has %v", others)
			}
			return fmt.Errorf("%w: the kernel has %v on %s itself: %s, or take it away with: ip addr del %v dev %s",
				ErrConfig, p.Addr(), i.Name, what, p, i.Name)
		}
	}
	return nil
}

// probeInterval is what the probes for the address are one to two apart. RFC 5227 section 2.1.1 has one second, for links that
// take long to forward; a stack that is started by hand or by a supervisor cannot wait that long. It goes on listening
// for conflicts afterwards.
const probeInterval = 30 * time.Millisecond

// claimAddress makes sure that nobody else on the link has the addresses, and announces them.
func (s *Stack) claimAddress() error {
	sh := s.shards[0]
	if s.cfg.NoProbe {
		sh.call(func(sh *Shard) { sh.neigh.Announce(sh.now) })
		return nil
	}
	sh.call(func(sh *Shard) { sh.neigh.Claim(sh.now, probeInterval) })
	for {
		time.Sleep(probeInterval / 2)
		var rival ethernet.Conflict
		state := ethernet.Owned
		sh.call(func(sh *Shard) {
			if state = sh.neigh.ClaimState(); state == ethernet.Lost {
				sh.neigh.NextConflict(&rival)
			}
		})
		switch state {
		case ethernet.Owned:
			return nil
		case ethernet.Lost:
			return fmt.Errorf("%w: %v on %s is used by %v", ErrAddressInUse, netip.AddrFrom4(rival.IP), s.cfg.Interface,
				rival.MAC)
		}
	}
}

// Describe says in one line what the stack runs on.
func (s *Stack) Describe() string {
	if i, ok := s.iface.(*afxdp.Interface); ok {
		return i.Describe()
	}
	return fmt.Sprintf("%d devices of the caller's", len(s.shards))
}

// Interface returns the AF_XDP interface of a stack that Open made, else nil.
func (s *Stack) Interface() *afxdp.Interface {
	i, _ := s.iface.(*afxdp.Interface)
	return i
}

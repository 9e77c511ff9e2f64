package kernelnet

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// read asks the kernel for everything that a snapshot has.
func (f *Follower) read() (*Snapshot, error) {
	link, err := f.kernel.LinkByIndex(f.index)
	if old := f.now.Load(); old != nil && errors.As(err, new(netlink.LinkNotFoundError)) { // It is gone, and has nothing.
		return &Snapshot{Name: old.Name, Index: old.Index, MAC: old.MAC, MTU: old.MTU}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the interface: %w", err)
	}
	at := link.Attrs()
	s := &Snapshot{Name: at.Name, Index: at.Index, MTU: at.MTU}
	s.Up = at.RawFlags&unix.IFF_UP != 0 && at.RawFlags&unix.IFF_LOWER_UP != 0
	copy(s.MAC[:], at.HardwareAddr)
	addresses, err := f.kernel.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("read the addresses: %w", err)
	}
	for _, a := range addresses {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		if !ok {
			continue
		}
		bits, _ := a.Mask.Size()
		s.Addresses = append(s.Addresses, Address{
			Prefix: netip.PrefixFrom(ip, bits), Secondary: a.Flags&unix.IFA_F_SECONDARY != 0, Scope: a.Scope,
		})
	}
	routes, err := f.kernel.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}
	rules, err := f.readRules()
	if err != nil {
		return nil, err
	}
	master := f.vrfTable(at)
	s.VRF = master != 0
	s.policy, s.Ignored = makePolicy(rules, makeTables(routes, f.index), s.Name, master)
	return s, nil
}

// readNeighbours asks the kernel for its neighbours, and tells what has changed.
func (f *Follower) readNeighbours() error {
	all, err := f.kernel.NeighList(f.index, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("read the neighbours: %w", err)
	}
	there := make(map[[4]byte]bool, len(all))
	for i := range all {
		if ip, ok := netip.AddrFromSlice(all[i].IP.To4()); ok {
			there[ip.As4()] = true
			f.neighbour(&all[i], false)
		}
	}
	for ip := range f.known {
		if !there[ip] {
			f.gone(ip)
		}
	}
	return nil
}

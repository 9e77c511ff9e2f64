package receive

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
)

// Steer says which frames of an interface are the receiver's.
type Steer struct {
	// Address is the receiver's own, which no kernel interface has: all IPv4 to it, and ARP for it. With Ports it is the kernel's, and
	// only TCP and UDP to these of its ports are the receiver's; the kernel answers ARP.
	Address netip.Addr
	Ports   []uint16
	All     bool // every frame, whatever it is
	Insist  bool // with All: although others use the interface
}

// ErrInUse is what Open wraps if all frames of an interface are wanted that the kernel uses.
var ErrInUse = errors.New("the interface is in use")

// Open opens an interface of the calling thread's network namespace so that what s says comes to its queues.
func Open(name string, o afxdp.Options, s Steer) (*afxdp.Interface, error) {
	mode, err := s.check(name)
	if err != nil {
		return nil, err
	}
	iface, err := afxdp.Open(name, o, bpf.Config{Mode: mode})
	if err != nil {
		return nil, err
	}
	switch mode {
	case bpf.OwnAddress:
		err = iface.Program().AddAddress(s.Address)
	case bpf.SharedAddress:
		for _, port := range s.Ports {
			const tcp, udp = 6, 17
			err = errors.Join(err, iface.Program().AddPort(tcp, s.Address, port), iface.Program().AddPort(udp, s.Address, port))
		}
	}
	if err != nil {
		return nil, errors.Join(err, iface.Close())
	}
	return iface, nil
}

// check finds the mode of the program, and what is against it.
func (s *Steer) check(name string) (bpf.Mode, error) {
	if s.All {
		if err := inUse(name); err != nil && !s.Insist {
			return 0, err
		}
		return bpf.WholeInterface, nil
	}
	if !s.Address.Is4() {
		return 0, fmt.Errorf("%w: an IPv4 address of one's own, or all frames", ErrConfig)
	}
	owner, err := kernelHas(s.Address)
	switch {
	case err != nil:
		return 0, err
	case len(s.Ports) > 0 && owner != name:
		return 0, fmt.Errorf("%w: ports %v of %v: the kernel does not have this address on %s; of an address of one's own all ports "+
			"are one's own", ErrConfig, s.Ports, s.Address, name)
	case len(s.Ports) > 0:
		return bpf.SharedAddress, nil
	case owner != "":
		return 0, fmt.Errorf("%w: the kernel has %v on %s itself: take another address, or ports of this one", ErrConfig, s.Address,
			owner)
	}
	return bpf.OwnAddress, nil
}

// kernelHas returns the interface on which the kernel has an address, empty if none.
func kernelHas(a netip.Addr) (string, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list the kernel's interfaces: %w", err)
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs() // none of an interface that has just been removed
		for _, other := range addresses {
			if p, err := netip.ParsePrefix(other.String()); err == nil && p.Addr() == a {
				return i.Name, nil
			}
		}
	}
	return "", nil
}

// inUse says who would be cut off if the kernel got no more frames of an interface: what has the default route, and whose
// connections are over its addresses.
func inUse(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{LinkIndex: link.Attrs().Index}, netlink.RT_FILTER_OIF)
	if err != nil {
		return fmt.Errorf("list the routes over %s: %w", name, err)
	}
	if slices.ContainsFunc(routes, isDefault) {
		return fmt.Errorf("%w: the kernel's default route goes over %s, and all of that would be cut off", ErrInUse, name)
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the addresses of %s: %w", name, err)
	}
	for _, family := range []uint8{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		sockets, err := netlink.SocketDiagTCP(family)
		if err != nil {
			return fmt.Errorf("list the kernel's connections: %w", err)
		}
		for _, s := range sockets {
			const established = 1 // of the kernel's enum of TCP's states
			has := func(a netlink.Addr) bool { return a.IP.Equal(s.ID.Source) }
			if s.State == established && slices.ContainsFunc(addresses, has) {
				return fmt.Errorf("%w: the kernel has a connection over %s, from %v port %d to %v port %d, and it would be cut off",
					ErrInUse, name, s.ID.Source, s.ID.SourcePort, s.ID.Destination, s.ID.DestinationPort)
			}
		}
	}
	return nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}

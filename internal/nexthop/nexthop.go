// Package nexthop finds out which hardware address packets go to that are for an IP address: it asks the kernel's routes and
// neighbours, and where these do not know, the network.
//
//	address ─► group? ─► kernel's route through the interface ─► its gateway, or the address itself
//	                                                                  │
//	         hardware address ◄── kernel's table of neighbours ◄──────┤
//	                         ◄── ARP requests of our own ◄────────────┘
//
// The kernel need not have an address on the interface: what it does not know a way to is on the link.
package nexthop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/ethernet"
)

// ErrNoAnswer is in the error for an address that does not answer ARP.
var ErrNoAnswer = errors.New("no answer to ARP")

// Query is a question for a way.
type Query struct {
	Interface string
	Target    netip.Addr // IPv4
	// Source is who asks, if it comes to asking: an address of one's own on the link. Default the kernel's address on the interface, or
	// nobody's, as in a probe (RFC 5227 section 2.1.1), which is answered too.
	Source netip.Addr
	// Gateway is whom to ask for in place of what the kernel's routes say. Default none.
	Gateway netip.Addr

	Tries int           // requests; default 3
	Wait  time.Duration // for an answer to each; default 500 ms
}

// Answer is where to send.
type Answer struct {
	MAC ethernet.Addr
	Hop netip.Addr // whose address it is: the target's, or a gateway's; not valid for a group
	How string     // "the kernel's neighbours", for example
}

// Find answers a query in the calling thread's network namespace.
func Find(ctx context.Context, q Query) (Answer, error) {
	if !q.Target.Is4() {
		return Answer{}, fmt.Errorf("%v: want an IPv4 address", q.Target)
	}
	if mac, ok := group(q.Target); ok {
		return Answer{MAC: mac, How: "a group"}, nil
	}
	link, err := netlink.LinkByName(q.Interface)
	if err != nil {
		return Answer{}, fmt.Errorf("find %s: %w", q.Interface, err)
	}
	a := Answer{Hop: q.Gateway, How: "the kernel's neighbours"}
	if !a.Hop.IsValid() {
		a.Hop = hop(link, q.Target)
	}
	if a.MAC, err = neighbour(link, a.Hop); err != nil || !a.MAC.IsZero() {
		return a, err
	}
	if !q.Source.IsValid() {
		q.Source = own(link, a.Hop)
	}
	a.How = "ARP"
	a.MAC, err = ask(ctx, link, q, a.Hop)
	return a, err
}

// group returns the hardware address of a broadcast or multicast address (RFC 1112 section 6.4).
func group(a netip.Addr) (mac ethernet.Addr, ok bool) {
	b := a.As4()
	switch {
	case b == [4]byte{255, 255, 255, 255}:
		return ethernet.Broadcast, true
	case a.IsMulticast():
		return ethernet.Addr{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}, true
	}
	return mac, false
}

// hop returns what the kernel's routes through the interface have for an address: a gateway, or the address itself if it is on the link
// or they know no way.
func hop(link netlink.Link, target netip.Addr) netip.Addr {
	routes, err := netlink.RouteGetWithOptions(target.AsSlice(), &netlink.RouteGetOptions{Oif: link.Attrs().Name})
	if err != nil || len(routes) == 0 || routes[0].LinkIndex != link.Attrs().Index {
		return target
	}
	if gateway, ok := netip.AddrFromSlice(routes[0].Gw); ok && gateway.Unmap().Is4() {
		return gateway.Unmap()
	}
	return target
}

// usable are the states of a neighbour in which the kernel would send to it.
const usable = netlink.NUD_PERMANENT | netlink.NUD_NOARP | netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY |
	netlink.NUD_PROBE

// neighbour looks an address up in the kernel's table. The zero address means that it is not there.
func neighbour(link netlink.Link, hop netip.Addr) (mac ethernet.Addr, err error) {
	all, err := netlink.NeighList(link.Attrs().Index, unix.AF_INET)
	if err != nil {
		return mac, fmt.Errorf("list the neighbours on %s: %w", link.Attrs().Name, err)
	}
	for _, n := range all {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == hop && n.State&usable != 0 && len(n.HardwareAddr) == len(mac) {
			return ethernet.Addr(n.HardwareAddr), nil
		}
	}
	return mac, nil
}

// own returns the kernel's address on the interface that is on a network with another one, else any of its addresses there; it is not
// valid if there is none.
func own(link netlink.Link, with netip.Addr) (any netip.Addr) {
	all, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return any
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		if !ok {
			continue
		}
		if bits, _ := a.Mask.Size(); netip.PrefixFrom(ip, bits).Contains(with) {
			return ip
		}
		if !any.IsValid() {
			any = ip
		}
	}
	return any
}

// noAnswer is the error for a hop that is silent.
func noAnswer(link netlink.Link, q *Query, hop netip.Addr) error {
	as := "with no address of its own"
	if q.Source.IsValid() {
		as = "as " + q.Source.String()
	}
	what := "the target"
	if hop != q.Target {
		what = fmt.Sprintf("the gateway to %v", q.Target)
	}
	return fmt.Errorf("%v, %s, on %s: %w: %d requests in %v, %s: is it up, and on this link?", hop, what, link.Attrs().Name, ErrNoAnswer,
		q.Tries, time.Duration(q.Tries)*q.Wait, as)
}

// hardware returns the interface's address.
func hardware(link netlink.Link) (mac ethernet.Addr, err error) {
	if len(link.Attrs().HardwareAddr) != len(mac) {
		return mac, fmt.Errorf("%s has no Ethernet address: %v", link.Attrs().Name, link.Attrs().HardwareAddr)
	}
	return ethernet.Addr(link.Attrs().HardwareAddr), nil
}

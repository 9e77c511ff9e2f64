package kernelnet

import (
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Snapshot is what the kernel had configured at one moment. It is never changed.
type Snapshot struct {
	Name      string
	Index     int
	MAC       [6]byte
	MTU       int
	Up        bool      // set up, and with a carrier
	Addresses []Address // IPv4, in the kernel's order

	// Ignored are policy rules that say nothing here, by number, with what they look at that one snapshot has no answer for.
	Ignored []string
	// VRF: the interface is in one, whose table is looked at.
	VRF bool

	policy policy
}

// Address is an IPv4 address of the interface.
type Address struct {
	netip.Prefix
	Secondary bool // another one of the same network came first: it is not chosen as a source
	Scope     int  // netlink's: 0 is universe, 253 link
}

// Path is where packets to an address go.
type Path struct {
	Hop    [4]byte // whose hardware address is needed: a gateway's, or the address itself
	Source [4]byte // which of the interface's addresses the kernel would send from; zero if it has none
	MTU    int     // of the route, or the interface's
}

// Path returns where packets to an address go, or false if no route out of the interface leads there. Where they come from is chosen.
func (s *Snapshot) Path(to [4]byte) (Path, bool) {
	h := s.policy.find([4]byte{}, to)
	if h == nil {
		return Path{}, false
	}
	p := s.path(h, to)
	if !s.policy.sources || p.Source == [4]byte{} {
		return p, true
	}
	return s.PathFrom(p.Source, to) // Now that this is known, it may be another way, as it is when a kernel's socket connects.
}

// PathFrom is Path for packets from an address that was chosen before.
func (s *Snapshot) PathFrom(from, to [4]byte) (Path, bool) {
	if from == [4]byte{} {
		return s.Path(to)
	}
	h := s.policy.find(from, to)
	if h == nil {
		return Path{}, false
	}
	p := s.path(h, to)
	p.Source = from
	return p, true
}

// minMTU is what every link takes (RFC 791 section 3.2).
const minMTU = 68

func (s *Snapshot) path(h *hop, to [4]byte) Path {
	p := Path{Hop: h.gateway, Source: h.source, MTU: s.MTU}
	if h.mtu != 0 && h.mtu < p.MTU {
		p.MTU = max(h.mtu, minMTU)
	}
	if p.Hop == [4]byte{} {
		p.Hop = to
	}
	if p.Source == [4]byte{} {
		p.Source = s.source(p.Hop)
	}
	return p
}

// Has reports whether an address is one of the interface's.
func (s *Snapshot) Has(a netip.Addr) bool {
	return slices.ContainsFunc(s.Addresses, func(b Address) bool { return b.Addr() == a })
}

// source returns the address to send from to a neighbour: one of its network, else the first that is good beyond the link.
func (s *Snapshot) source(hop [4]byte) (first [4]byte) {
	to := netip.AddrFrom4(hop)
	for _, a := range s.Addresses {
		switch {
		case a.Secondary:
		case a.Contains(to):
			return a.Addr().As4()
		case first == [4]byte{} && a.Scope < int(netlink.SCOPE_LINK):
			first = a.Addr().As4()
		}
	}
	return first
}

// Equal reports whether two snapshots say the same.
func (s *Snapshot) Equal(o *Snapshot) bool {
	return s.Name == o.Name && s.Index == o.Index && s.MAC == o.MAC && s.MTU == o.MTU && s.Up == o.Up &&
		s.VRF == o.VRF &&
		slices.Equal(s.Addresses, o.Addresses) && slices.Equal(s.Ignored, o.Ignored) && s.policy.equal(&o.policy)
}

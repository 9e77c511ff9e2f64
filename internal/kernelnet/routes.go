package kernelnet

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// table finds the route to an address: the longest prefix, and of several routes to that the one with the least metric.
type table struct {
	levels []level // by falling length
}

// level is the routes to prefixes of one length.
type level struct {
	bits   int
	mask   uint32
	routes map[uint32]route // by prefix
}

// route leads to a prefix. Without hops, none does: the prefix is unreachable.
type route struct {
	metric int
	hops   []hop
	weight uint32 // of all hops
}

// hop is one of the ways that a route has.
type hop struct {
	gateway [4]byte // zero: the prefix is on the link
	source  [4]byte // that the route prefers; zero: none
	mtu     int     // of the route; 0: the interface's
	weight  uint32  // the share of the addresses that go this way
}

// find returns the way to an address. Of several, an address always goes the same one.
func (t *table) find(to [4]byte) *hop {
	a := binary.BigEndian.Uint32(to[:])
	for i := range t.levels {
		l := &t.levels[i]
		r, ok := l.routes[a&l.mask]
		if !ok {
			continue
		}
		switch len(r.hops) {
		case 0:
			return nil
		case 1:
			return &r.hops[0]
		}
		return r.choose(a)
	}
	return nil
}

// choose spreads addresses over the hops by their weights.
func (r *route) choose(a uint32) *hop {
	at := a * 0x9e3779b1 >> 16 % r.weight
	for i := range r.hops {
		if at < r.hops[i].weight {
			return &r.hops[i]
		}
		at -= r.hops[i].weight
	}
	return &r.hops[len(r.hops)-1]
}

// makeTable takes the routes of the main table that lead out of an interface, or nowhere.
func makeTable(routes []netlink.Route, index int) table {
	levels := make(map[int]*level)
	for i := range routes {
		r := &routes[i]
		to, ok := prefixOf(r)
		if !ok {
			continue
		}
		made, ok := makeRoute(r, index)
		if !ok {
			continue
		}
		l := levels[to.Bits()]
		if l == nil {
			l = &level{bits: to.Bits(), mask: ^uint32(0) << (32 - to.Bits()), routes: make(map[uint32]route)}
			levels[to.Bits()] = l
		}
		b := to.Addr().As4()
		key := binary.BigEndian.Uint32(b[:])
		if old, ok := l.routes[key]; !ok || made.metric < old.metric {
			l.routes[key] = made
		}
	}
	var t table
	for _, l := range levels {
		t.levels = append(t.levels, *l)
	}
	slices.SortFunc(t.levels, func(a, b level) int { return b.bits - a.bits })
	return t
}

// prefixOf returns where a route leads. The default route has no destination, or that of length 0.
func prefixOf(r *netlink.Route) (netip.Prefix, bool) {
	if r.Dst == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	}
	a, ok := netip.AddrFromSlice(r.Dst.IP.To4())
	bits, size := r.Dst.Mask.Size()
	return netip.PrefixFrom(a, bits).Masked(), ok && size == 32
}

// makeRoute takes a route; ok is false if it says nothing about the interface.
func makeRoute(r *netlink.Route, index int) (made route, ok bool) {
	made.metric = r.Priority
	switch r.Type {
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT, unix.RTN_THROW:
		return made, true
	case unix.RTN_UNICAST:
	default:
		return made, false
	}
	var source [4]byte
	if a, ok := netip.AddrFromSlice(r.Src.To4()); ok {
		source = a.As4()
	}
	add := func(link int, gateway []byte, flags, weight int) {
		const useless = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN
		if link != index || flags&useless != 0 {
			return
		}
		h := hop{source: source, mtu: r.MTU, weight: uint32(weight)}
		if gateway != nil {
			a, ok := netip.AddrFromSlice(gateway)
			if !ok || !a.Unmap().Is4() {
				return // an IPv6 gateway: there is no neighbour to ask for
			}
			h.gateway = a.Unmap().As4()
		}
		made.hops = append(made.hops, h)
		made.weight += h.weight
	}
	if len(r.MultiPath) == 0 {
		if r.Via != nil {
			return made, false
		}
		add(r.LinkIndex, r.Gw, r.Flags, 1)
	}
	for _, m := range r.MultiPath {
		if m.Via == nil {
			add(m.LinkIndex, m.Gw, m.Flags, m.Hops+1)
		}
	}
	return made, len(made.hops) > 0
}

func (t *table) equal(o *table) bool {
	return slices.EqualFunc(t.levels, o.levels, func(a, b level) bool {
		return a.bits == b.bits && maps.EqualFunc(a.routes, b.routes, func(a, b route) bool {
			return a.metric == b.metric && slices.Equal(a.hops, b.hops)
		})
	})
}

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
	throw  bool // without hops: unreachable by this table, and others are looked at
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

// find returns the way to an address, and the length of the prefix that has it. Of several, an address always goes the same one. further:
// the table says nothing about the address. Neither a way nor further: there is none.
func (t *table) find(a uint32) (h *hop, bits int, further bool) {
	for i := range t.levels {
		l := &t.levels[i]
		r, ok := l.routes[a&l.mask]
		if !ok {
			continue
		}
		switch len(r.hops) {
		case 0:
			return nil, l.bits, r.throw
		case 1:
			return &r.hops[0], l.bits, false
		}
		return r.choose(a), l.bits, false
	}
	return nil, 0, true
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

// makeTables takes the routes that lead out of an interface, or nowhere, by their tables.
func makeTables(routes []netlink.Route, index int) map[uint32]*table {
	of := make(map[uint32][]netlink.Route)
	for i := range routes {
		id := uint32(routes[i].Table)
		of[id] = append(of[id], routes[i])
	}
	all := make(map[uint32]*table, len(of))
	for id, routes := range of {
		t := makeTable(routes, index)
		all[id] = &t
	}
	return all
}

// makeTable takes the routes of one table.
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
	if r.Tos != 0 {
		return made, false // it is not for packets without a type of service
	}
	switch r.Type {
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT:
		return made, true
	case unix.RTN_THROW:
		made.throw = true
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
			return a.metric == b.metric && a.throw == b.throw && slices.Equal(a.hops, b.hops)
		})
	})
}

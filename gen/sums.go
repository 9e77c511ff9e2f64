package gen

import (
	"slices"

	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/ipv4"
)

// findChecks notes the checksums, the innermost first, and which of them each operation changes. Those that nothing changes are part of
// the templates.
func (c *compiler) findChecks() {
	ip := -1
	for i := range c.l.layers {
		p := &c.l.layers[i]
		k := check16{from: p.off, ip: -1}
		switch p.Kind {
		case IPv4:
			ip = p.off
			k.field, k.to = p.off+10, p.off+p.len
		case UDP:
			k.field, k.ip, k.proto, k.udp = p.off+6, ip, ipv4.ProtoUDP, true
		case TCP:
			k.field, k.ip, k.proto = p.off+16, ip, ipv4.ProtoTCP
		case ICMP:
			k.field = p.off + 2
		default:
			continue
		}
		mode := p.sumMode()
		if mode == sumBad {
			k.flip = 0x5555
		}
		if mode != sumNone {
			c.checks = append(c.checks, k)
		}
	}
	slices.Reverse(c.checks)
	for i := range c.checks {
		if k := &c.checks[i]; c.doesVary(k, c.checks[:i]) {
			k.varies = true
			c.out.checks = append(c.out.checks, *k)
		}
	}
	c.link()
}

// sumMode returns how the checksum of a header is computed.
func (p *placed) sumMode() uint64 {
	if f := p.get("checksum"); f != nil {
		return f.Values.first()
	}
	if p.next == VXLAN {
		return sumNone // RFC 7348 section 5 would have it so
	}
	return sumGood
}

// doesVary reports whether a checksum is not the same in all packets of a size. inner are those that are further inside.
func (c *compiler) doesVary(k *check16, inner []check16) bool {
	for i := range inner {
		if inner[i].varies && k.covers(inner[i].field, 2) {
			return true
		}
	}
	for i := range c.out.ops {
		if k.covers(c.out.ops[i].off, int(c.out.ops[i].width)) {
			return true
		}
	}
	return c.l.sign && k.to == 0
}

// link notes for each thing that varies which checksums it changes.
func (c *compiler) link() {
	signature := uint8(0)
	for i := range c.out.checks {
		k := &c.out.checks[i]
		for j := i + 1; j < len(c.out.checks); j++ {
			if c.out.checks[j].covers(k.field, 2) {
				k.outer |= 1 << j
			}
		}
		for j := range c.out.ops {
			if o := &c.out.ops[j]; k.covers(o.off, int(o.width)) {
				o.sums |= 1 << i
			}
		}
		if c.l.sign && k.to == 0 {
			signature |= 1 << i
		}
	}
	for i := range c.out.ops {
		c.out.ops[i].group = c.group(c.out.ops[i].sums)
	}
	for i := range c.out.checks {
		c.out.checks[i].outerGroup = c.group(c.out.checks[i].outer)
	}
	c.out.sigGroup = c.group(signature)
	for i := range c.out.checks {
		k := &c.out.checks[i]
		for g, set := range c.out.groups {
			if set>>i&1 != 0 {
				k.groups = append(k.groups, uint8(g))
			}
		}
	}
}

// group returns the group of a set of checksums.
func (c *compiler) group(set uint8) uint8 {
	i := slices.Index(c.out.groups, set)
	if i < 0 {
		i = len(c.out.groups)
		c.out.groups = append(c.out.groups, set)
	}
	return uint8(i)
}

// check16 is a checksum of a packet.
type check16 struct {
	field      int // where it is
	from, to   int // what it covers; to is 0 if that is up to the end of the payload
	ip         int // where the IPv4 header is whose addresses are in the pseudo-header; -1: none
	proto      uint8
	udp        bool
	flip       uint16 // the bits that are wrong on purpose
	varies     bool
	outer      uint8 // the checksums that this one is covered by, a set of bits
	outerGroup uint8
	groups     []uint8 // those that it covers, at least one
}

// covers reports whether the checksum depends on the bytes.
func (k *check16) covers(off, width int) bool {
	inside := off >= k.from && (k.to == 0 || off+width <= k.to)
	return inside || k.ip >= 0 && off >= k.ip+12 && off+width <= k.ip+20
}

// constant returns the partial sum of what does not vary of a packet, in which the rest is zero.
func (k *check16) constant(b []byte, end int) uint64 {
	to := k.to
	if to == 0 {
		to = end
	}
	sum := checksum.Sum(b[k.from:to], 0)
	if k.ip >= 0 {
		sum = checksum.Sum(b[k.ip+12:k.ip+20], sum)
		sum = checksum.Combine(sum, uint32(k.proto)+uint32(to-k.from))
	}
	return uint64(sum)
}

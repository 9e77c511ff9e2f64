// Package permit keeps a load generator on the network that it is meant for. What it may be aimed at without a question is the
// interface's own network and what the user lists (--allow); for everything else the user has to say that the network is theirs
// (--i-own-this-network). It is a question to a careless user, not a lock: a generator that is pointed at a wrong address by a
// typing error is an attack on somebody.
package permit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Flag is the flag by which a user insists, as the errors name it.
const Flag = "--i-own-this-network"

// ErrForeign is what [Rules.Check] wraps when it refuses.
var ErrForeign = errors.New("the target is outside the interface's own network")

// widest is the shortest prefix that counts as a network of the interface's own: an interface that claims more, 0.0.0.0/0 for
// example, would make every address its neighbour.
const widest = 8

// Rules say what a generator may be aimed at.
type Rules struct {
	Own    []netip.Prefix // networks of the interface: the kernel's addresses on it, and the generator's own
	Allow  []netip.Prefix // what the user lists beside them
	Insist bool           // the user has said that the network is theirs
}

// Check returns an error, which wraps ErrForeign and says what to do, if one of the targets is not wholly within one of the
// networks that the rules allow. A single address is a prefix of its full length; [Range] makes prefixes of a range.
func (r *Rules) Check(targets ...netip.Prefix) error {
	if r.Insist {
		return nil
	}
	for _, t := range targets {
		if !r.allows(t) {
			return fmt.Errorf("%w: %s is not in %s: list its network with --allow, or say %s if it is yours",
				ErrForeign, describe(t), r.describe(), Flag)
		}
	}
	return nil
}

func (r *Rules) allows(t netip.Prefix) bool {
	if t.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}) { // it does not leave the link
		return true
	}
	for _, own := range r.Own {
		if own.Bits() >= widest && within(t, own) {
			return true
		}
	}
	for _, a := range r.Allow {
		if within(t, a) {
			return true
		}
	}
	return false
}

// within reports whether all of t is in p.
func within(t, p netip.Prefix) bool {
	return t.IsValid() && t.Bits() >= p.Bits() && p.Contains(t.Addr())
}

func (r *Rules) describe() string {
	var list []string
	add := func(p netip.Prefix) {
		if s := p.Masked().String(); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	for _, own := range r.Own {
		if own.Bits() >= widest {
			add(own)
		}
	}
	for _, a := range r.Allow {
		add(a)
	}
	if len(list) == 0 {
		return "any network that the interface is known to be on"
	}
	return strings.Join(list, ", ")
}

// describe writes a prefix of one address as that address.
func describe(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// Address returns the prefix that has the address alone.
func Address(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// Range appends to list the fewest prefixes that have exactly the IPv4 addresses from first to last, both included. It returns
// list as it is if these are not IPv4 addresses, or in the wrong order.
func Range(list []netip.Prefix, first, last netip.Addr) []netip.Prefix {
	if !first.Is4() || !last.Is4() || last.Less(first) {
		return list
	}
	for a, end := number(first), number(last); a <= end; {
		bits := 32
		for bits > 0 && a&(1<<(33-bits)-1) == 0 && a+1<<(33-bits)-1 <= end {
			bits--
		}
		list = append(list, netip.PrefixFrom(address(a), bits))
		a += 1 << (32 - bits)
	}
	return list
}

// number is an IPv4 address as a number, in 64 bits so that the one behind the last can be said.
func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

func address(n uint64) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// ParseAllow reads what --allow is given: prefixes and addresses, separated by commas.
func ParseAllow(list string) ([]netip.Prefix, error) {
	var allow []netip.Prefix
	for _, word := range strings.Split(list, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		if a, err := netip.ParseAddr(word); err == nil {
			allow = append(allow, Address(a))
			continue
		}
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 192.0.2.0/24", word)
		}
		allow = append(allow, p.Masked())
	}
	return allow, nil
}

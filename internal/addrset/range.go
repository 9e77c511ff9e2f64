package addrset

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Range is the addresses from First to Last, both included. A zero Last means First alone.
type Range struct{ First, Last netip.Addr }

// Parse reads a prefix ("10.0.0.0/24"), a range ("10.0.0.5-10.0.0.20") or an address ("10.0.0.7").
func Parse(s string) (Range, error) {
	if first, last, ok := strings.Cut(s, "-"); ok {
		a, err1 := netip.ParseAddr(first)
		b, err2 := netip.ParseAddr(last)
		if err1 != nil || err2 != nil {
			return Range{}, fmt.Errorf("%q is not a range of addresses like 10.0.0.5-10.0.0.20", s)
		}
		r := Range{First: a, Last: b}
		_, err := r.span()
		return r, err
	}
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil || !p.Addr().Is4() {
			return Range{}, fmt.Errorf("%q is not an IPv4 prefix like 10.0.0.0/24", s)
		}
		return FromPrefix(p), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return Range{}, fmt.Errorf("%q is neither a prefix like 10.0.0.0/24, nor a range like 10.0.0.5-10.0.0.20, nor an IPv4 address", s)
	}
	return Range{First: a, Last: a}, nil
}

// FromPrefix returns all addresses of an IPv4 prefix.
func FromPrefix(p netip.Prefix) Range {
	first := number(p.Masked().Addr().As4())
	return Range{First: p.Masked().Addr(), Last: addr(first | ^uint32(0)>>p.Bits())}
}

// MarshalText writes what Parse reads.
func (r Range) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what Parse does.
func (r *Range) UnmarshalText(text []byte) (err error) {
	*r, err = Parse(string(text))
	return err
}

func (r Range) String() string {
	if !r.Last.IsValid() || r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// span returns the range as numbers.
func (r Range) span() (span, error) {
	first, last := r.First.Unmap(), r.Last.Unmap()
	if !last.IsValid() {
		last = first
	}
	if !first.Is4() || !last.Is4() {
		return span{}, fmt.Errorf("the range %v is not of IPv4 addresses", r)
	}
	if last.Less(first) {
		return span{}, fmt.Errorf("the range %v ends before it begins", r)
	}
	return span{first: number(first.As4()), last: number(last.As4())}, nil
}

func number(a [4]byte) uint32 { return binary.BigEndian.Uint32(a[:]) }

func addr(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

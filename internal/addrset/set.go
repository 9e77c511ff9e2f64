package addrset

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"sort"
)

// Set is a set of addresses. The zero Set is empty.
type Set struct {
	spans []span // in order, none touching another
}

// span is the addresses from first to last, of which the set has before lower ones.
type span struct{ first, last, before uint32 }

// New returns the addresses that are in any of the ranges.
func New(ranges ...Range) (Set, error) {
	spans := make([]span, 0, len(ranges))
	for _, r := range ranges {
		s, err := r.span()
		if err != nil {
			return Set{}, err
		}
		spans = append(spans, s)
	}
	return join(spans), nil
}

// join puts spans in order, and those together that touch.
func join(spans []span) Set {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && (s.first <= out[n-1].last || s.first == out[n-1].last+1) {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	before := uint32(0)
	for i := range out {
		out[i].before = before
		before += out[i].last - out[i].first + 1
	}
	return Set{spans: out}
}

// Without returns the set without some addresses.
func (s Set) Without(addresses ...[4]byte) Set {
	spans := slices.Clone(s.spans)
	for _, a := range addresses {
		n := number(a)
		for i, p := range spans {
			if n < p.first || n > p.last {
				continue
			}
			rest := make([]span, 0, 2)
			if n > p.first {
				rest = append(rest, span{first: p.first, last: n - 1})
			}
			if n < p.last {
				rest = append(rest, span{first: n + 1, last: p.last})
			}
			spans = slices.Replace(spans, i, i+1, rest...)
			break
		}
	}
	return join(spans)
}

// Has reports whether the set has an address.
func (s *Set) Has(a [4]byte) bool { return len(s.spans) != 0 && s.has(binary.BigEndian.Uint32(a[:])) }

func (s *Set) has(n uint32) bool {
	lo, hi := 0, len(s.spans)
	for lo < hi {
		if mid := (lo + hi) / 2; s.spans[mid].last < n {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(s.spans) && s.spans[lo].first <= n
}

// Len returns how many addresses the set has.
func (s *Set) Len() int {
	if len(s.spans) == 0 {
		return 0
	}
	l := &s.spans[len(s.spans)-1]
	return int(uint64(l.before) + uint64(l.last) - uint64(l.first) + 1)
}

// At returns the i-th address of the set, in order, for an i within 0 to Len-1.
func (s *Set) At(i int) (a [4]byte) {
	n := sort.Search(len(s.spans), func(k int) bool { return int64(s.spans[k].before) > int64(i) }) - 1
	binary.BigEndian.PutUint32(a[:], s.spans[n].first+uint32(i)-s.spans[n].before)
	return a
}

// Prefixes returns the fewest prefixes that have the addresses of the set, and no others.
func (s *Set) Prefixes() (list []netip.Prefix) {
	for _, p := range s.spans {
		for first := uint64(p.first); first <= uint64(p.last); {
			n := min(bits.TrailingZeros64(first|1<<32), bits.Len64(uint64(p.last)-first+1)-1)
			list = append(list, netip.PrefixFrom(addr(uint32(first)), 32-n))
			first += 1 << n
		}
	}
	return list
}

// Ranges returns the fewest ranges that have the addresses of the set.
func (s *Set) Ranges() (list []Range) {
	for _, p := range s.spans {
		list = append(list, Range{First: addr(p.first), Last: addr(p.last)})
	}
	return list
}

// String returns the ranges of the set, apart by commas.
func (s *Set) String() string {
	text := ""
	for i, r := range s.Ranges() {
		if i > 0 {
			text += ","
		}
		text += r.String()
	}
	return text
}

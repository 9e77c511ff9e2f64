package filter

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
)

// Verdict is what a rule says: bpf's, with the names that people write.
type Verdict bpf.Verdict

// The verdicts.
const (
	Deny  = Verdict(bpf.Deny)
	Allow = Verdict(bpf.Allow)
)

func (v Verdict) String() string { return bpf.Verdict(v).String() }

// MarshalText writes the name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the name.
func (v *Verdict) UnmarshalText(b []byte) error {
	switch string(b) {
	case "deny":
		*v = Deny
	case "allow":
		*v = Allow
	default:
		return fmt.Errorf("filter: %q is no verdict: there are deny and allow", b)
	}
	return nil
}

// Rule is a rule of the filter.
type Rule struct {
	Prefix  netip.Prefix `json:"prefix"`
	Verdict Verdict      `json:"verdict"`
	Dropped uint64       `json:"dropped,omitempty"` // packets
	Until   time.Time    `json:"until,omitzero"`    // when it ends; zero: it does not
}

func (r *Rule) check() error {
	if !r.Prefix.IsValid() || !r.Prefix.Addr().Is4() {
		return fmt.Errorf("filter: %v is no IPv4 prefix", r.Prefix)
	}
	return nil
}

// ParsePrefix reads a prefix or an address. An address with bits beyond its prefix is a mistake that would deny more than was meant.
func ParsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return p, fmt.Errorf("filter: %q is no IPv4 address or prefix, such as 198.51.100.0/24", s)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	switch {
	case !p.Addr().Is4():
		return p, fmt.Errorf("filter: %s: only IPv4 is implemented", s)
	case p != p.Masked():
		return p, fmt.Errorf("filter: %s has bits beyond the prefix: is %v meant, or %v/32?", s, p.Masked(), p.Addr())
	}
	return p, nil
}

// rules are rules by prefix.
type rules map[netip.Prefix]Rule

func table(list []Rule) rules {
	t := make(rules, len(list))
	t.add(list)
	return t
}

func (t rules) add(list []Rule) {
	for _, r := range list {
		t[r.Prefix.Masked()] = r
	}
}

// denies reports whether an address is denied, as the program decides it: the longest prefix does.
func (t rules) denies(a netip.Addr) bool {
	for bits := 32; bits >= 0; bits-- {
		p, err := a.Prefix(bits)
		if err != nil {
			return false
		}
		if r, ok := t[p]; ok {
			return r.Verdict == Deny
		}
	}
	return false
}

func (t rules) anyDeny() bool {
	for _, r := range t {
		if r.Verdict == Deny {
			return true
		}
	}
	return false
}

// dropped is what a rule of the same prefix and verdict has counted.
func (t rules) dropped(p netip.Prefix, v Verdict) uint64 {
	if r, ok := t[p]; ok && r.Verdict == v {
		return r.Dropped
	}
	return 0
}

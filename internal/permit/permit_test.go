package permit

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name       string
		own, allow string
		insist     bool
		target     string
		refused    bool
	}{
		{"an address of the network", "192.0.2.1/24", "", false, "192.0.2.77/32", false},
		{"a part of the network", "192.0.2.1/24", "", false, "192.0.2.128/25", false},
		{"the network's broadcast address", "192.0.2.1/24", "", false, "192.0.2.255/32", false},
		{"the link's broadcast address", "192.0.2.1/24", "", false, "255.255.255.255/32", false},
		{"an address beside it", "192.0.2.1/24", "", false, "192.0.3.1/32", true},
		{"more than the network", "192.0.2.1/24", "", false, "192.0.2.0/23", true},
		{"a listed network", "192.0.2.1/24", "198.51.100.0/24", false, "198.51.100.9/32", false},
		{"a listed network, other target", "192.0.2.1/24", "198.51.100.0/24", false, "203.0.113.9/32", true},
		{"the whole Internet as the interface's own", "192.0.2.1/0", "", false, "203.0.113.9/32", true},
		{"the whole Internet listed", "192.0.2.1/24", "0.0.0.0/0", false, "203.0.113.9/32", false},
		{"multicast", "192.0.2.1/24", "", false, "224.0.0.1/32", true},
		{"the user insists", "192.0.2.1/24", "", true, "203.0.113.9/32", false},
		{"IPv6 beside IPv4", "192.0.2.1/24", "", false, "2001:db8::1/128", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Rules{Own: prefixes(c.own), Insist: c.insist}
			if c.allow != "" {
				r.Allow = prefixes(c.allow)
			}
			err := r.Check(netip.MustParsePrefix(c.target))
			if refused := errors.Is(err, ErrForeign); refused != c.refused || (err != nil) != c.refused {
				t.Fatalf("Check: %v, want refused %v", err, c.refused)
			}
			if err != nil && !strings.Contains(err.Error(), Flag) {
				t.Errorf("the error does not say how to insist: %v", err)
			}
		})
	}
}

func TestCheckLooksAtEachTarget(t *testing.T) {
	r := Rules{Own: prefixes("192.0.2.1/24")}
	err := r.Check(prefixes("192.0.2.9/32", "198.51.100.1/32")...)
	if err == nil || !strings.Contains(err.Error(), "198.51.100.1") || !strings.Contains(err.Error(), "192.0.2.0/24") {
		t.Errorf("Check: %v, want an error with the target and the network", err)
	}
	r.Own = prefixes("192.0.2.1/24", "192.0.2.2/24")
	if err := r.Check(prefixes("198.51.100.1/32")...); strings.Count(err.Error(), "192.0.2.0/24") != 1 {
		t.Errorf("a network of two addresses is named twice: %v", err)
	}
	if err := (&Rules{}).Check(prefixes("192.0.2.9/32")...); !errors.Is(err, ErrForeign) {
		t.Errorf("without any network: %v, want a refusal", err)
	}
	if err := (&Rules{Own: prefixes("192.0.2.1/24")}).Check(netip.Prefix{}); !errors.Is(err, ErrForeign) {
		t.Errorf("the zero prefix: %v, want a refusal", err)
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct{ first, last, want string }{
		{"192.0.2.1", "192.0.2.1", "192.0.2.1/32"},
		{"192.0.2.0", "192.0.2.255", "192.0.2.0/24"},
		{"192.0.2.1", "192.0.2.6", "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32"},
		{"192.0.2.254", "192.0.3.1", "192.0.2.254/31 192.0.3.0/31"},
		{"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"255.255.255.254", "255.255.255.255", "255.255.255.254/31"},
		{"192.0.2.2", "192.0.2.1", ""},
		{"::1", "::2", ""},
	} {
		var got []string
		for _, p := range Range(nil, netip.MustParseAddr(c.first), netip.MustParseAddr(c.last)) {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s to %s: %v, want %s", c.first, c.last, got, c.want)
		}
	}
}

func TestParseAllow(t *testing.T) {
	got, err := ParseAllow("192.0.2.9/24, 198.51.100.1,")
	if err != nil || len(got) != 2 || got[0].String() != "192.0.2.0/24" || got[1].String() != "198.51.100.1/32" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ParseAllow("192.0.2.0/33"); err == nil || !strings.Contains(err.Error(), "192.0.2.0/33") {
		t.Errorf("a prefix too long: %v", err)
	}
}

package trace

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/xdpstack/xdpstack/tcp"
)

// Tuple says which connections are meant: one end, or both, each of which may leave its address or its port open. Which end is this host's
// does not matter.
type Tuple struct{ a, b end }

type end struct {
	addr netip.Addr // invalid: any
	port int        // -1: any
}

var anyEnd = end{port: -1}

// ParseTuple reads "10.0.0.1:1234-10.0.0.2:80", "10.0.0.1-*:80", "*:80", ":80" or "10.0.0.1".
func ParseTuple(s string) (t Tuple, err error) {
	first, second, both := strings.Cut(s, "-")
	if t.a, err = parseEnd(first); err != nil {
		return t, err
	}
	t.b = anyEnd
	if both {
		t.b, err = parseEnd(second)
	}
	return t, err
}

func parseEnd(s string) (end, error) {
	e := anyEnd
	addr, port, hasPort := strings.Cut(s, ":")
	if s == "" || strings.Contains(port, ":") {
		return e, fmt.Errorf("want ADDRESS:PORT-ADDRESS:PORT of IPv4, with * for what may be any, not %q", clip(s))
	}
	if addr != "" && addr != "*" {
		a, err := netip.ParseAddr(addr)
		if err != nil || !a.Is4() {
			return e, fmt.Errorf("want an IPv4 address or *, not %q", clip(addr))
		}
		e.addr = a
	}
	if hasPort && port != "*" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return e, fmt.Errorf("want a port from 0 to 65535 or *, not %q", clip(port))
		}
		e.port = int(n)
	}
	return e, nil
}

// clip bounds what is repeated of what somebody sent.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

func (e end) match(a netip.AddrPort) bool {
	return (!e.addr.IsValid() || e.addr == a.Addr()) && (e.port < 0 || e.port == int(a.Port()))
}

func (e end) String() string {
	addr, port := "*", "*"
	if e.addr.IsValid() {
		addr = e.addr.String()
	}
	if e.port >= 0 {
		port = strconv.Itoa(e.port)
	}
	return addr + ":" + port
}

// Match reports whether a connection is meant.
func (t Tuple) Match(f tcp.Flow) bool {
	l, r := f.Local(), f.Remote()
	return t.a.match(l) && t.b.match(r) || t.a.match(r) && t.b.match(l)
}

// One reports whether it can be one connection only.
func (t Tuple) One() bool {
	return t.a.addr.IsValid() && t.b.addr.IsValid() && t.a.port >= 0 && t.b.port >= 0
}

func (t Tuple) String() string { return t.a.String() + "-" + t.b.String() }

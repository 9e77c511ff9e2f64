package ipv4

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/limit"
)

// MaxErrorLen is the length of the longest ICMP error that MarshalError builds, IP header included: what every host accepts
// (RFC 1812 section 4.3.2.3).
const MaxErrorLen = 576

// tosInternetControl is the precedence of ICMP errors (RFC 1812 section 4.3.2.5).
const tosInternetControl = 6 << 5

// PortUnreachable is the message for a datagram to a port that nobody listens on.
func PortUnreachable() ICMP { return ICMP{Type: ICMPUnreachable, Code: CodePortUnreachable} }

// ProtocolUnreachable is the message for a datagram of a protocol that this host does not have.
func ProtocolUnreachable() ICMP { return ICMP{Type: ICMPUnreachable, Code: CodeProtocolUnreachable} }

// FragNeeded is the message for a datagram that does not fit the next link and must not be fragmented (RFC 1191 section 4).
func FragNeeded(mtu uint16) ICMP {
	return ICMP{Type: ICMPUnreachable, Code: CodeFragNeeded, Rest: uint32(mtu)}
}

// ReassemblyTimeout is the message for a datagram of which fragments are missing.
func ReassemblyTimeout() ICMP { return ICMP{Type: ICMPTimeExceeded, Code: CodeReassemblyExceeded} }

// MarshalError writes a whole packet to b that tells the source of packet, whose header is h, of the error m, and returns its
// length in bytes. It quotes as much of the packet as MaxErrorLen and b leave room for, at least its header and 8 bytes (RFC 1122
// section 3.2.2); if b has no room for that, it returns 0. packet and b must not overlap.
func (m *ICMP) MarshalError(b, packet []byte, h *Header, id uint16) int {
	quote := packet[:min(int(h.TotalLen), len(packet))]
	least := min(int(h.HeaderLen)+8, len(quote))
	n := min(len(b), MaxErrorLen) - MinHeaderLen - ICMPHeaderLen
	if n < least {
		return 0
	}
	quote = quote[:min(n, len(quote))]
	n = MinHeaderLen + ICMPHeaderLen + len(quote)
	r := Header{
		TOS:      tosInternetControl,
		TotalLen: uint16(n),
		ID:       id,
		TTL:      DefaultTTL,
		Proto:    ProtoICMP,
		Src:      h.Dst,
		Dst:      h.Src,
	}
	r.Marshal(b)
	copy(b[MinHeaderLen+ICMPHeaderLen:], quote)
	m.Marshal(b[MinHeaderLen:n])
	return n
}

// ReporterConfig says when a Reporter lets errors be sent. Zero fields mean the defaults.
type ReporterConfig struct {
	Subnet netip.Prefix // of the link, for its broadcast addresses; default none
	Rate   int          // errors a second; default 1000, as in Linux
	Burst  int          // errors at once; default 50, as in Linux
	Seed   uint64       // hides the limit from port scanners; zero: does not
}

// Reporter decides whether an ICMP error may be sent about a packet.
type Reporter struct {
	Stats ReporterStats

	bucket limit.Bucket
	first  Addr // the first and the last address of the subnet: its broadcast addresses, old and new
	last   Addr
}

// NewReporter returns a Reporter.
func NewReporter(cfg ReporterConfig) *Reporter {
	if cfg.Rate <= 0 {
		cfg.Rate = 1000
	}
	if cfg.Burst <= 0 {
		cfg.Burst = 50
	}
	r := &Reporter{bucket: limit.New(cfg.Rate, cfg.Burst, cfg.Seed)}
	// Links of one or two addresses have no broadcast address (RFC 3021).
	if bits := cfg.Subnet.Bits(); cfg.Subnet.Addr().Is4() && bits >= 0 && bits < 31 {
		r.first = cfg.Subnet.Masked().Addr().As4()
		host := uint32(1)<<(32-bits) - 1
		for i := range r.last {
			r.last[i] = r.first[i] | byte(host>>(24-8*i))
		}
	}
	return r
}

// Allow reports whether an ICMP error may be sent about packet b, whose header is h, and counts it as sent. linkGroup says that it
// came in a frame to a group or broadcast address.
//
// The rules are those of RFC 1122 section 3.2.2, against storms and loops of messages: no error about an ICMP error, about a
// packet to more than one host, about a fragment other than the first, or to an address that is not of a single host.
func (r *Reporter) Allow(b []byte, h *Header, linkGroup bool, now clock.Time) bool {
	switch {
	case linkGroup, h.FragOffset != 0, r.isGroup(h.Dst), r.isGroup(h.Src), isICMPError(b, h):
		r.Stats.Suppressed++
		return false
	case !r.bucket.Take(now):
		r.Stats.Limited++
		return false
	}
	r.Stats.Sent++
	return true
}

// isGroup reports whether a is not the address of a single host.
func (r *Reporter) isGroup(a Addr) bool { return !a.IsHost() || a == r.last || a == r.first }

// isICMPError reports whether the packet is an ICMP error, or ICMP of a kind that cannot be told.
func isICMPError(b []byte, h *Header) bool {
	if h.Proto != ProtoICMP {
		return false
	}
	p := h.Payload(b)
	return len(p) == 0 || ICMPType(p[0]).IsError()
}

// plateaus are the MTUs of common links (RFC 1191 section 7.1), with those that tunnels make added.
var plateaus = [...]uint16{65535, 32000, 17914, 9000, 8166, 4352, 2002, 1492, 1280, 1006, 508, 296, MinMTU}

// PathMTU returns what the MTU of a path is after a "fragmentation needed" message that reports the given MTU, zero for a router
// that does not say, about a packet of the given total length: the reported one, or the next plateau below the packet's length. It
// returns 0 if the message must be ignored, because it would raise the MTU or says the impossible (RFC 1191 section 3).
func PathMTU(reported, length uint16) uint16 {
	if reported >= length || reported != 0 && reported < MinMTU {
		return 0
	}
	if reported != 0 {
		return reported
	}
	for _, p := range plateaus {
		if p < length {
			return p
		}
	}
	return 0
}

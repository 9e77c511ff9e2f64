package stack

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/tcp"
)

// Open is Connect for who opens very many connections, and some in vain: it returns the connection, which may be aborted before it is
// established, and its errors are the package's own values, without a net.OpError around them. It may be called only on the shard.
// Dialer.OpenOn chooses the local address too.
func (s *Shard) Open(remote netip.AddrPort, h Handler) (*Conn, error) {
	if err := checkRemote(remote); err != nil {
		return nil, err
	}
	return s.connect(remote, h, nil, s.stack.first())
}

// Now returns the time of the shard's present step. It may be called only on the shard.
func (s *Shard) Now() clock.Time { return s.now }

// TCPStats returns what TCP has counted so far. It may be called only on the shard; Stack.Report is for other goroutines.
func (s *Shard) TCPStats() tcp.Stats { return s.core.Stats }

// Reachable reports whether the hardware address of the next hop to an address is known; if it is not, it is asked for. gone: nobody has
// answered for it. Datagrams that are sent before it is known wait, a few of them, and TCP connections all do. It may be called only on the
// shard.
func (s *Shard) Reachable(to netip.Addr) (known, gone bool) {
	dst, ok := ipv4.AddrFrom(to)
	if !ok {
		return false, true
	}
	hop, ok := s.route(ipv4.Addr{}, dst)
	if !ok {
		return false, true
	}
	if _, known = s.neigh.Lookup(hop, s.now); known {
		return true, false
	}
	return false, s.neigh.Resolve(hop, frame.Desc{Frame: frame.None}, s.now) == ethernet.Unreachable
}

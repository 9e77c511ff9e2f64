package stack

import (
	"errors"
	"net/netip"
)

// UnreachableHandler is what a PacketHandler may be besides: one that is told when an ICMP error says that a datagram from the socket has
// not reached where it was sent to (RFC 1122 section 4.1.3.3).
type UnreachableHandler interface {
	Unreachable(s *PacketSocket, to netip.AddrPort)
}

// PacketPort is a UDP port with a socket on each shard, for who sends on the shards without being asked: from Config.OnTurn, for example.
type PacketPort struct {
	stack   *Stack
	at      endpoint
	sockets []*PacketSocket
}

// OpenPacket opens a UDP port ("host:port", ":port"; port 0 chooses one), whose datagrams are given to what handler returns for each shard.
// It must not be called on a shard.
func (s *Stack) OpenPacket(address string, handler func(shard int) PacketHandler) (*PacketPort, error) {
	if handler == nil {
		return nil, s.opError("listen", "udp", address, errors.New("no handler was given"))
	}
	at, err := s.localAddr(address)
	if err != nil {
		return nil, s.opError("listen", "udp", address, err)
	}
	p := &PacketPort{stack: s}
	p.at, err = s.openPackets(at, func() *PacketSocket {
		u := &PacketSocket{handler: handler(len(p.sockets))}
		p.sockets = append(p.sockets, u)
		return u
	})
	if err != nil {
		return nil, s.opError("listen", "udp", address, err)
	}
	return p, nil
}

// Socket returns the port's socket on a shard, which may be used only there.
func (p *PacketPort) Socket(shard int) *PacketSocket { return p.sockets[shard] }

// LocalAddr returns this end's address.
func (p *PacketPort) LocalAddr() netip.AddrPort {
	return netip.AddrPortFrom(p.stack.address4(p.at).Netip(), p.at.port)
}

// Close gives the port back. It must not be called on a shard.
func (p *PacketPort) Close() { p.stack.closePackets(p.at) }

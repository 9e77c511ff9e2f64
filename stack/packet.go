package stack

import (
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ipv4"
	"github.com/xdpstack/xdpstack/udp"
)

// PacketHandler is given the UDP datagrams of a port, on the shard that received them. p is the memory that the datagram arrived
// in, valid until ReceivedPacket returns.
type PacketHandler interface {
	ReceivedPacket(s *PacketSocket, from netip.AddrPort, p []byte)
}

// PacketSocket is one UDP port on one shard. Its methods may be called only there: in ReceivedPacket, for example.
type PacketSocket struct {
	shard   *Shard
	at      endpoint
	local   ipv4.Addr // that the datagram came to that is being handled, else that it is bound to, or the stack's first
	handler PacketHandler
	conn    *UDPConn // the handler, if it is one of this package's
}

// LocalAddr returns this end's address: in ReceivedPacket that which the datagram was sent to.
func (u *PacketSocket) LocalAddr() netip.AddrPort {
	return netip.AddrPortFrom(u.local.Netip(), u.at.port)
}

// maxDatagram is the largest payload of a UDP datagram in bytes.
const maxDatagram = ipv4.MaxLen - ipv4.MinHeaderLen - udp.HeaderLen

// WriteTo sends a datagram of up to 65,507 bytes from LocalAddr, in fragments if it does not fit a packet. It returns an error if it is
// longer, there is no route or no free frame.
func (u *PacketSocket) WriteTo(p []byte, to netip.AddrPort) error {
	s := u.shard
	dst, ok := ipv4.AddrFrom(to.Addr())
	if !ok {
		return fmt.Errorf("%w: %v is not an IPv4 address", ErrConfig, to.Addr())
	}
	if len(p) > maxDatagram {
		return ErrMessageSize
	}
	src, room := u.local, s.oneFrame
	if s.paths != nil {
		path, ok := s.paths.PathFrom(src, dst)
		if !ok {
			return s.errNoRoute()
		}
		if src = path.Source; !s.owns(src) {
			return ErrNoAddress
		}
		room = min(room, path.MTU)
	} else if _, ok := s.route(src, dst); !ok {
		return s.errNoRoute()
	}
	n := udp.HeaderLen + len(p)
	d, b := u.buffer(n, room)
	if b == nil {
		return ErrNoFrame
	}
	h := udp.Header{SrcPort: u.at.port, DstPort: to.Port(), Length: uint16(n)}
	h.Marshal(b)
	copy(b[udp.HeaderLen:], p)
	sum := ipv4.PseudoHeaderSum(src, dst, ipv4.ProtoUDP, n)
	if s.txSum && d.Frame != frame.None { // a fragmented datagram's checksum is of all its packets
		d.Ask = leaveSum(b, sum, udp.ChecksumField)
	} else {
		udp.SetChecksum(b, sum)
	}
	if d.Frame == frame.None {
		s.sendDatagram(ipv4.ProtoUDP, src, dst, b)
		return nil
	}
	s.sendIP(d, ipv4.ProtoUDP, 0, src, dst)
	return nil
}

// buffer returns n bytes to build a datagram in: of a frame, or, with d.Frame frame.None, on the heap if it must be fragmented, for IP
// packets of at most room bytes.
func (u *PacketSocket) buffer(n, room int) (d frame.Desc, b []byte) {
	if n+ipv4.MinHeaderLen > room {
		return frame.Desc{Frame: frame.None}, make([]byte, n)
	}
	return u.shard.newPacket(n)
}

// HandlePacket lets h handle the UDP datagrams that come to an address ("host:port", ":port"), on the shards.
func (s *Stack) HandlePacket(address string, h PacketHandler) error {
	if h == nil {
		return s.opError("listen", "udp", address, fmt.Errorf("no handler was given"))
	}
	at, err := s.localAddr(address)
	if err == nil {
		_, err = s.openPackets(at, func() *PacketSocket { return &PacketSocket{handler: h} })
	}
	if err != nil {
		return s.opError("listen", "udp", address, err)
	}
	return nil
}

// openPackets opens a UDP port, with a socket from make on every shard.
func (s *Stack) openPackets(at endpoint, make func() *PacketSocket) (endpoint, error) {
	return s.openPort(&s.udpPorts, at, func(sh *Shard, at endpoint) error {
		u := make()
		u.shard, u.at, u.local = sh, at, at.addr
		if s.shared == nil { // else the kernel's routes say from which, if it is of all
			u.local = s.address4(at)
		}
		if at.all() {
			sh.udp[at.port] = u
		} else {
			sh.boundUDP[at] = u
		}
		return nil
	})
}

func (s *Stack) closePackets(at endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.udpPorts.free(at)
	if s.shared != nil {
		s.shared.retire(ipv4.ProtoUDP, at)
	}
	for _, sh := range s.shards {
		sh.call(func(sh *Shard) {
			if at.all() {
				delete(sh.udp, at.port)
			} else {
				delete(sh.boundUDP, at)
			}
		})
	}
}

// socketAt returns the socket that has a port of one of the stack's addresses, or nil.
func (s *Shard) socketAt(a ipv4.Addr, port uint16) *PacketSocket {
	if u := s.udp[port]; u != nil || len(s.boundUDP) == 0 {
		return u
	}
	return s.boundUDP[endpoint{addr: a, port: port}]
}

// udpInput delivers a datagram. The frame's range is the UDP header and payload.
func (s *Shard) udpInput(f frame.Index, ip *ipv4.Header) {
	m := s.pool.Meta(f)
	packet := frame.Desc{Frame: f, Off: m.Off - uint32(ip.HeaderLen), Len: m.Len + uint32(ip.HeaderLen)}
	s.arrived = s.arrivedIn(f, packet.Off)
	s.udpDeliver(s.pool.Bytes(packet), s.pool.Data(f), ip)
	s.arrived.Frame = frame.None
	s.pool.Release(f)
}

// udpDeliver hands the datagram b to its socket; packet is the IP packet that it came in.
func (s *Shard) udpDeliver(packet, b []byte, ip *ipv4.Header) {
	var h udp.Header
	err := udp.Parse(b, &h)
	if err == nil && !s.rxSum {
		err = h.Verify(b, ipv4.PseudoHeaderSum(ip.Src, ip.Dst, ipv4.ProtoUDP, int(h.Length)))
	}
	if err != nil {
		s.stats.UDP.Count(err)
		return
	}
	u := s.socketAt(ip.Dst, h.DstPort)
	if u == nil {
		s.stats.Drop.UDPNoSocket++
		s.sendError(ipv4.PortUnreachable(), packet, ip)
		return
	}
	s.stats.Datagrams++
	own := u.local
	u.local = ip.Dst
	u.handler.ReceivedPacket(u, netip.AddrPortFrom(ip.Src.Netip(), h.SrcPort), h.Payload(b))
	u.local = own
}

// icmpError tells a connected socket of this package, or a handler that wants to know, that its peer cannot be reached (RFC 1122 section
// 4.1.3.3).
func (u *PacketSocket) icmpError(m *ipv4.ICMP, q *ipv4.Quoted) {
	if m.Type != ipv4.ICMPUnreachable {
		return
	}
	to := netip.AddrPortFrom(q.Dst.Netip(), q.DstPort)
	if u.conn != nil {
		u.conn.unreachable(m.Code, to)
	} else if h, ok := u.handler.(UnreachableHandler); ok {
		h.Unreachable(u, to)
	}
}

package gvisor

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const nic tcpip.NICID = 1

// Buffers are the sizes of a connection's buffers in bytes. Zero leaves gVisor's own choice: 1 MiB, the receive side auto-tuned.
type Buffers struct {
	Receive int
	Send    int
}

// newStack makes a stack with one interface and one address.
func newStack(link stack.LinkEndpoint, qdisc stack.QueueingDiscipline, addr netip.Prefix, b Buffers) (*stack.Stack, error) {
	log.SetLevel(log.Warning)
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := configure(s, b); err != nil {
		return nil, err
	}
	if err := s.CreateNICWithOptions(nic, link, stack.NICOptions{QDisc: qdisc}); err != nil {
		return nil, fmt.Errorf("gvisor: create the interface: %s", err)
	}
	protocolAddr := tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFromSlice(addr.Addr().AsSlice()), PrefixLen: addr.Bits(),
		},
	}
	if err := s.AddProtocolAddress(nic, protocolAddr, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("gvisor: add the address %s: %s", addr, err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}})
	return s, nil
}

// Route has the server reach its own network directly and everything else by a gateway. Before, everything is taken to be on the link.
func (s *Server) Route(own netip.Prefix, gateway netip.Addr) {
	on := tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(own.Addr().AsSlice()), PrefixLen: own.Bits()}
	s.stack.SetRouteTable([]tcpip.Route{
		{Destination: on.Subnet(), NIC: nic},
		{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFromSlice(gateway.AsSlice()), NIC: nic},
	})
}

// configure sets TCP's options: SACK, which is off by default, and the buffers.
func configure(s *stack.Stack, b Buffers) error {
	sack := tcpip.TCPSACKEnabled(true)
	opts := []tcpip.SettableTransportProtocolOption{&sack}
	if b.Receive > 0 {
		fixed := tcpip.TCPModerateReceiveBufferOption(false)
		opts = append(opts, &tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: b.Receive, Max: b.Receive}, &fixed)
	}
	if b.Send > 0 {
		opts = append(opts, &tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: b.Send, Max: b.Send})
	}
	for _, o := range opts {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("gvisor: set %T: %s", o, err)
		}
	}
	return nil
}

// listen makes a listening endpoint.
func listen(s *stack.Stack, port uint16, wq *waiter.Queue) (tcpip.Endpoint, error) {
	ep, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if err != nil {
		return nil, fmt.Errorf("gvisor: new endpoint: %s", err)
	}
	ep.SocketOptions().SetReuseAddress(true)
	if err := ep.Bind(tcpip.FullAddress{Port: port}); err != nil {
		return nil, fmt.Errorf("gvisor: bind to port %d: %s", port, err)
	}
	if err := ep.Listen(4096); err != nil {
		return nil, fmt.Errorf("gvisor: listen on port %d: %s", port, err)
	}
	return ep, nil
}

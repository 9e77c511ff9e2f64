package service

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/stack"
)

// EchoPackets sends datagrams back (RFC 862).
type EchoPackets struct{}

// ReceivedPacket sends p to where it came from. When that is not possible, the datagram is lost, as datagrams may be.
func (EchoPackets) ReceivedPacket(s *stack.PacketSocket, from netip.AddrPort, p []byte) {
	if !answerable(from) {
		return
	}
	_ = s.WriteTo(p, from) // the stack counts what it cannot send
}

// DiscardPackets throws datagrams away (RFC 863).
type DiscardPackets struct{}

// ReceivedPacket does nothing.
func (DiscardPackets) ReceivedPacket(*stack.PacketSocket, netip.AddrPort, []byte) {}

// ChargenPackets answers each datagram with one line of the pattern, never with more than came, so that a forged sender gains
// nothing (RFC 864 leaves the length open, from 0 to 512).
type ChargenPackets struct{}

// ReceivedPacket answers.
func (ChargenPackets) ReceivedPacket(s *stack.PacketSocket, from netip.AddrPort, p []byte) {
	if !answerable(from) {
		return
	}
	_ = s.WriteTo(chargenCycle[:min(len(p), lineLength+2)], from) // the stack counts what it cannot send
}

// answerable refuses the ports of the small services themselves: two servers would answer each other without end.
func answerable(from netip.AddrPort) bool {
	switch from.Port() {
	case 0, EchoPort, DiscardPort, ChargenPort:
		return false
	}
	return true
}

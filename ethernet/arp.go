package ethernet

import (
	"encoding/binary"
	"errors"
)

// ARPLen is the length of an ARP packet for IPv4 over Ethernet in bytes.
const ARPLen = 28

// ARPOp is the operation of an ARP packet.
type ARPOp uint16

// Operations of RFC 826.
const (
	ARPRequest ARPOp = 1
	ARPReply   ARPOp = 2
)

// Errors of ParseARP, one for each reason to drop a packet.
var (
	ErrARPShort  = errors.New("ethernet: ARP packet is shorter than 28 bytes")
	ErrARPFormat = errors.New("ethernet: ARP packet is not about IPv4 over Ethernet")
	ErrARPOp     = errors.New("ethernet: ARP operation is neither request nor reply")
	ErrARPSender = errors.New("ethernet: ARP sender has a group or zero hardware address, or a group IP address")
)

// ARP is an ARP packet for IPv4 over Ethernet (RFC 826).
type ARP struct {
	Op        ARPOp
	SenderMAC Addr
	SenderIP  [4]byte // zero in a probe (RFC 5227 section 1.1)
	TargetMAC Addr    // without meaning in a request, zero by custom
	TargetIP  [4]byte
}

// IsProbe reports whether a asks if somebody uses TargetIP, before the sender takes it for itself (RFC 5227 section 2.1).
func (a *ARP) IsProbe() bool { return a.Op == ARPRequest && a.SenderIP == [4]byte{} }

// IsAnnouncement reports whether a tells everybody the sender's own address: a gratuitous ARP (RFC 5227 section 2.3).
func (a *ARP) IsAnnouncement() bool { return a.SenderIP == a.TargetIP && a.SenderIP != [4]byte{} }

// Destination returns where the Ethernet frame with a must go: to the target, or to everybody if its address is not known.
func (a *ARP) Destination() Addr {
	if a.TargetMAC.IsZero() {
		return Broadcast
	}
	return a.TargetMAC
}

// the first eight bytes of every packet but for the operation: Ethernet, IPv4, lengths 6 and 4
const arpPrefix = 0x0001_0800_0604

// ParseARP reads the ARP packet at the start of b, which may have padding after it.
func ParseARP(b []byte) (ARP, error) {
	if len(b) < ARPLen {
		return ARP{}, ErrARPShort
	}
	first := binary.BigEndian.Uint64(b)
	if first>>16 != arpPrefix {
		return ARP{}, ErrARPFormat
	}
	a := ARP{
		Op:        ARPOp(first),
		SenderMAC: Addr(b[8:14]),
		SenderIP:  [4]byte(b[14:18]),
		TargetMAC: Addr(b[18:24]),
		TargetIP:  [4]byte(b[24:28]),
	}
	if a.Op != ARPRequest && a.Op != ARPReply {
		return ARP{}, ErrARPOp
	}
	// 224.0.0.0 and above are groups, reserved, or broadcast: no host is one.
	if a.SenderMAC.IsMulticast() || a.SenderMAC.IsZero() || a.SenderIP[0] >= 224 {
		return ARP{}, ErrARPSender
	}
	return a, nil
}

// Marshal writes the packet to the start of b and returns its length, or 0 if b is too short.
func (a *ARP) Marshal(b []byte) int {
	if len(b) < ARPLen {
		return 0
	}
	binary.BigEndian.PutUint64(b, arpPrefix<<16|uint64(a.Op))
	copy(b[8:14], a.SenderMAC[:])
	copy(b[14:18], a.SenderIP[:])
	copy(b[18:24], a.TargetMAC[:])
	copy(b[24:28], a.TargetIP[:])
	return ARPLen
}

package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Config is the two ends of the link and the connection.
type Config struct {
	MAC, StackMAC   [6]byte
	Addr, StackAddr [4]byte
	Port, StackPort uint16
	Window          uint32 // bytes that the stack may have in flight towards the peer
}

// DefaultConfig is used by every in-memory benchmark.
func DefaultConfig(stackPort uint16) Config {
	return Config{
		MAC: [6]byte{2, 0, 0, 0, 0, 1}, StackMAC: [6]byte{2, 0, 0, 0, 0, 2},
		Addr: [4]byte{10, 77, 0, 1}, StackAddr: [4]byte{10, 77, 0, 2},
		Port: 40000, StackPort: stackPort,
		Window: 256 << 10,
	}
}

// ErrChecksum means that the stack sent a frame with a wrong checksum.
var ErrChecksum = errors.New("peer: the stack sent a wrong checksum")

// link is what peers of either kind need below TCP's state: headers and address resolution.
type link struct {
	cfg Config
	Err error  // the first thing that went wrong; everything after it is void
	arp []byte // a reply to be delivered, empty if none
}

// Failure returns the first thing that went wrong.
func (p *link) Failure() error { return p.Err }

// template writes the headers that do not change and returns the TCP checksum's sum over them and the payload.
func (p *link) template(b []byte, size int, port uint16, flags byte) uint32 {
	p.ether(b, etherIPv4)
	p.ip(b[ipAt:], size-etherLen)
	t := b[tcpAt:]
	binary.BigEndian.PutUint16(t[0:], port)
	binary.BigEndian.PutUint16(t[2:], p.cfg.StackPort)
	t[12], t[13] = (tcpLen+optionLen)/4<<4, flags
	binary.BigEndian.PutUint16(t[14:], uint16(min(p.cfg.Window>>windowShift, 0xffff)))
	t[20], t[21], t[22], t[23] = 1, 1, 8, 10 // NOP, NOP, timestamps
	return p.sum(b, size)
}

// writeSYN writes a segment that opens a connection.
func (p *link) writeSYN(b []byte, port uint16, seq, tsVal uint32) int {
	const size = tcpAt + tcpLen + 20
	clear(b[:size])
	p.ether(b, etherIPv4)
	p.ip(b[ipAt:], size-etherLen)
	t := b[tcpAt:]
	binary.BigEndian.PutUint16(t[0:], port)
	binary.BigEndian.PutUint16(t[2:], p.cfg.StackPort)
	binary.BigEndian.PutUint32(t[4:], seq)
	t[12], t[13] = (tcpLen+20)/4<<4, flagSYN
	binary.BigEndian.PutUint16(t[14:], 0xffff)
	copy(t[20:], []byte{2, 4, MSS >> 8, MSS & 0xff, 4, 2, 8, 10})
	binary.BigEndian.PutUint32(t[28:], tsVal)
	copy(t[36:], []byte{1, 3, 3, windowShift})
	binary.BigEndian.PutUint16(t[16:], fold(p.sum(b, size)))
	return size
}

func (p *link) ether(b []byte, kind uint16) {
	copy(b[0:], p.cfg.StackMAC[:])
	copy(b[6:], p.cfg.MAC[:])
	binary.BigEndian.PutUint16(b[12:], kind)
}

func (p *link) ip(b []byte, length int) {
	b[0], b[1] = 0x45, 0
	binary.BigEndian.PutUint16(b[2:], uint16(length))
	binary.BigEndian.PutUint16(b[6:], 0x4000) // don't fragment
	b[8], b[9] = 64, 6
	b[10], b[11] = 0, 0
	copy(b[12:], p.cfg.Addr[:])
	copy(b[16:], p.cfg.StackAddr[:])
	binary.BigEndian.PutUint16(b[10:], fold(sum(b[:ipLen], 0)))
}

// sum is the sum for the TCP checksum of a frame: pseudo-header, header and payload.
func (p *link) sum(b []byte, size int) uint32 {
	s := sum(b[ipAt+12:ipAt+20], 6+uint32(size-tcpAt))
	return sum(b[tcpAt:size], s)
}

// carriesTCP reports whether the frame is a TCP segment. It notes a request for the peer's hardware address; the rest, ICMP and the
// like, is none of a peer's business.
func (p *link) carriesTCP(head []byte) bool {
	if len(head) < etherLen {
		p.fail("frame of %d bytes", len(head))
		return false
	}
	switch binary.BigEndian.Uint16(head[12:]) {
	case etherARP:
		p.takeARP(head)
	case etherIPv4:
		return len(head) >= tcpAt+tcpLen && head[ipAt] == 0x45 && head[ipAt+9] == 6
	}
	return false
}

func (p *link) takeARP(b []byte) {
	const size = etherLen + 28
	if len(b) < size || binary.BigEndian.Uint16(b[etherLen+6:]) != 1 || [4]byte(b[etherLen+24:]) != p.cfg.Addr {
		return
	}
	r := make([]byte, size)
	copy(r[0:], b[6:12])
	copy(r[6:], p.cfg.MAC[:])
	copy(r[12:], b[12:etherLen+6])
	r[etherLen+7] = 2 // reply
	copy(r[etherLen+8:], p.cfg.MAC[:])
	copy(r[etherLen+14:], p.cfg.Addr[:])
	copy(r[etherLen+18:], b[etherLen+8:etherLen+18])
	p.arp = r
}

// ARPReply writes the answer to the stack's ARP request and reports whether there was one.
func (p *link) ARPReply(b []byte) int {
	n := copy(b, p.arp)
	p.arp = p.arp[:0]
	return n
}

// Asked reports whether an ARP request waits for its answer.
func (p *link) Asked() bool { return len(p.arp) > 0 }

func (p *link) fail(format string, args ...any) {
	if p.Err == nil {
		p.Err = fmt.Errorf("peer: "+format, args...)
	}
}

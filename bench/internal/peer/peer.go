package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	MSS        = 1460 // of an Ethernet link without options in the segment
	Payload    = 1448 // of a full segment with timestamps
	HeaderSize = etherLen + ipLen + tcpLen + optionLen
	FrameSize  = HeaderSize + Payload

	etherLen  = 14
	ipLen     = 20
	tcpLen    = 20
	optionLen = 12

	ipAt  = etherLen
	tcpAt = ipAt + ipLen
)

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806

	flagFIN = 1 << 0
	flagSYN = 1 << 1
	flagRST = 1 << 2
	flagACK = 1 << 4

	windowShift = 7
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

// Peer is one end of one connection. All fields may be read between calls.
type Peer struct {
	cfg Config

	Established bool
	Seq         uint32 // next to send
	Acked       uint32 // highest that the stack acknowledged
	Window      uint32 // bytes beyond Acked that the stack offers
	RcvNxt      uint32 // next expected from the stack
	Received    uint64 // bytes from the stack, in order
	Repeated    uint64 // segments that it sent again
	Err         error  // the first thing that went wrong; everything after it is void

	tsVal, tsEcr uint32
	shift        uint8  // the stack's window scale
	lastAck      uint32 // the acknowledgement number of the last Ack
	covered      uint32 // the last acknowledgement number that is due or was sent
	due          []uint32
	arp          []byte // a reply to be delivered, empty if none
	data, ack    [FrameSize]byte
	dataSum      uint32 // checksum of data with the fields that change at zero
	ackSum       uint32
}

// ErrChecksum means that the stack sent a frame with a wrong checksum.
var ErrChecksum = errors.New("peer: the stack sent a wrong checksum")

// New makes a peer that has sent nothing.
func New(cfg Config) *Peer {
	p := &Peer{cfg: cfg, Seq: 1000, Acked: 1000, tsVal: 1}
	for i := range Payload {
		p.data[HeaderSize+i] = byte(i * 7)
	}
	p.dataSum = p.template(p.data[:], FrameSize, flagACK)
	p.ackSum = p.template(p.ack[:HeaderSize], HeaderSize, flagACK)
	return p
}

// template writes the headers that do not change and returns the TCP checksum's sum over them and the payload.
func (p *Peer) template(b []byte, size int, flags byte) uint32 {
	p.ether(b, etherIPv4)
	p.ip(b[ipAt:], size-etherLen)
	t := b[tcpAt:]
	binary.BigEndian.PutUint16(t[0:], p.cfg.Port)
	binary.BigEndian.PutUint16(t[2:], p.cfg.StackPort)
	t[12], t[13] = (tcpLen+optionLen)/4<<4, flags
	binary.BigEndian.PutUint16(t[14:], uint16(min(p.cfg.Window>>windowShift, 0xffff)))
	t[20], t[21], t[22], t[23] = 1, 1, 8, 10 // NOP, NOP, timestamps
	return p.sum(b, size)
}

func (p *Peer) ether(b []byte, kind uint16) {
	copy(b[0:], p.cfg.StackMAC[:])
	copy(b[6:], p.cfg.MAC[:])
	binary.BigEndian.PutUint16(b[12:], kind)
}

func (p *Peer) ip(b []byte, length int) {
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
func (p *Peer) sum(b []byte, size int) uint32 {
	s := sum(b[ipAt+12:ipAt+20], 6+uint32(size-tcpAt))
	return sum(b[tcpAt:size], s)
}

// SYN writes the segment that opens the connection.
func (p *Peer) SYN(b []byte) int {
	const size = tcpAt + tcpLen + 20
	clear(b[:size])
	p.ether(b, etherIPv4)
	p.ip(b[ipAt:], size-etherLen)
	t := b[tcpAt:]
	binary.BigEndian.PutUint16(t[0:], p.cfg.Port)
	binary.BigEndian.PutUint16(t[2:], p.cfg.StackPort)
	binary.BigEndian.PutUint32(t[4:], p.Seq)
	t[12], t[13] = (tcpLen+20)/4<<4, flagSYN
	binary.BigEndian.PutUint16(t[14:], 0xffff)
	copy(t[20:], []byte{2, 4, MSS >> 8, MSS & 0xff, 4, 2, 8, 10})
	binary.BigEndian.PutUint32(t[28:], p.tsVal)
	copy(t[36:], []byte{1, 3, 3, windowShift})
	binary.BigEndian.PutUint16(t[16:], fold(p.sum(b, size)))
	p.Seq++
	return size
}

// SYNACK writes the answer to the SYN that was taken.
func (p *Peer) SYNACK(b []byte) int {
	n := p.SYN(b)
	t := b[tcpAt:]
	binary.BigEndian.PutUint32(t[8:], p.RcvNxt)
	t[13] = flagSYN | flagACK
	binary.BigEndian.PutUint16(t[16:], 0)
	binary.BigEndian.PutUint16(t[16:], fold(p.sum(b, n)))
	return n
}

// Head writes the headers of the next full segment, for one who does not look at the payload, and returns the full size.
func (p *Peer) Head(b []byte) int {
	copy(b, p.data[:HeaderSize])
	p.patch(b, p.dataSum, p.RcvNxt)
	p.Seq += Payload
	return FrameSize
}

// Forget gives up the acknowledgements that are due: the next one covers all.
func (p *Peer) Forget() { p.due = p.due[:0] }

// Data writes the next full segment.
func (p *Peer) Data(b []byte) int {
	copy(b, p.data[:])
	p.patch(b, p.dataSum, p.RcvNxt)
	p.Seq += Payload
	return FrameSize
}

// Ack writes an acknowledgement: the oldest that is due, or of all that was received if none is.
func (p *Peer) Ack(b []byte) int {
	n := p.RcvNxt
	if len(p.due) > 0 {
		n = p.due[0]
		p.due = p.due[:copy(p.due, p.due[1:])]
	}
	return p.ackOf(b, n)
}

func (p *Peer) ackOf(b []byte, n uint32) int {
	copy(b, p.ack[:HeaderSize])
	p.patch(b, p.ackSum, n)
	p.lastAck = n
	return HeaderSize
}

// Due returns how many acknowledgements are to be delivered: one for each second segment.
func (p *Peer) Due() int { return len(p.due) }

// Unacked returns the bytes received beyond the last acknowledgement that was written.
func (p *Peer) Unacked() uint32 { return p.RcvNxt - p.lastAck }

// InFlight returns the bytes sent and not acknowledged.
func (p *Peer) InFlight() uint32 { return p.Seq - p.Acked }

// Room returns how many full segments the stack's window has room for.
func (p *Peer) Room() int {
	if used := p.InFlight(); used < p.Window {
		return int((p.Window - used) / Payload)
	}
	return 0
}

// patch fills in what changes and completes the checksum.
func (p *Peer) patch(b []byte, s, ack uint32) {
	t := b[tcpAt : tcpAt+tcpLen+optionLen]
	binary.BigEndian.PutUint32(t[4:], p.Seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	binary.BigEndian.PutUint32(t[24:], p.tsVal)
	binary.BigEndian.PutUint32(t[28:], p.tsEcr)
	for _, v := range [...]uint32{p.Seq, ack, p.tsVal, p.tsEcr} {
		s += v>>16 + v&0xffff
	}
	binary.BigEndian.PutUint16(t[16:], fold(s))
}

// ARPReply writes the answer to the stack's ARP request and reports whether there was one.
func (p *Peer) ARPReply(b []byte) int {
	n := copy(b, p.arp)
	p.arp = p.arp[:0]
	return n
}

// Asked reports whether an ARP request waits for its answer.
func (p *Peer) Asked() bool { return len(p.arp) > 0 }

func (p *Peer) fail(format string, args ...any) {
	if p.Err == nil {
		p.Err = fmt.Errorf("peer: "+format, args...)
	}
}

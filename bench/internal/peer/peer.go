package peer

import "encoding/binary"

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
	flagPSH = 1 << 3
	flagACK = 1 << 4

	windowShift = 7
)

// Peer is one end of one connection. All fields may be read between calls.
type Peer struct {
	link

	Established bool
	Seq         uint32 // next to send
	Acked       uint32 // highest that the stack acknowledged
	Window      uint32 // bytes beyond Acked that the stack offers
	RcvNxt      uint32 // next expected from the stack
	Received    uint64 // bytes from the stack, in order
	Repeated    uint64 // segments that it sent again

	tsVal, tsEcr uint32
	shift        uint8  // the stack's window scale
	lastAck      uint32 // the acknowledgement number of the last Ack
	covered      uint32 // the last acknowledgement number that is due or was sent
	due          []uint32
	data, ack    [FrameSize]byte
	dataSum      uint32 // checksum of data with the fields that change at zero
	ackSum       uint32
}

// New makes a peer that has sent nothing.
func New(cfg Config) *Peer {
	p := &Peer{link: link{cfg: cfg}, Seq: 1000, Acked: 1000, tsVal: 1}
	for i := range Payload {
		p.data[HeaderSize+i] = byte(i * 7)
	}
	p.dataSum = p.template(p.data[:], FrameSize, p.cfg.Port, flagACK)
	p.ackSum = p.template(p.ack[:HeaderSize], HeaderSize, p.cfg.Port, flagACK)
	return p
}

// SYN writes the segment that opens the connection.
func (p *Peer) SYN(b []byte) int {
	n := p.writeSYN(b, p.cfg.Port, p.Seq, p.tsVal)
	p.Seq++
	return n
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

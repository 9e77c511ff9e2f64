package peer

import "encoding/binary"

// portsEach is how many connections a Many has from each of its addresses.
const (
	portsEach     = 1 << 16 >> 1
	firstManyPort = 1 << 16 >> 1
)

// Many is the client of very many connections that stay: from 10.78.0.1 on, half of the ports of each address. The stack reaches them
// through the link's own address as a gateway.
type Many struct {
	link

	Established int
	Resets      uint64

	conns []long
	round uint32 // the clock of the timestamps
	due   []dueLong
	head  int // of due

	syn    [tcpAt + tcpLen + 20]byte
	ack    [HeaderSize]byte
	data   [FrameSize]byte
	ipSum  [3]uint32 // of the IP headers of syn, ack and data, their checksums and the source address at zero
	synSum uint32
	ackSum uint32
	datSum uint32
}

// long is one connection. Little, so that what the harness touches for each is little beside what the stack does.
type long struct {
	seq, rcvNxt, tsEcr uint32
	open               bool
}

type dueLong struct {
	slot uint32
	syn  bool
}

// NewMany makes a client of at most so many connections that has sent nothing.
func NewMany(cfg Config, most int) *Many {
	p := &Many{link: link{cfg: cfg}, conns: make([]long, most), round: 1}
	for i := range p.conns {
		p.conns[i].seq = 1000 // touched, so that the memory is the harness's own from the beginning
	}
	from := p.link
	from.cfg.Addr = [4]byte{}
	for i := range Payload {
		p.data[HeaderSize+i] = byte(i * 7)
	}
	from.writeSYN(p.syn[:], 0, 0, 0)
	binary.BigEndian.PutUint16(p.syn[tcpAt+16:], 0)
	p.synSum = from.sum(p.syn[:], len(p.syn))
	p.ackSum = from.template(p.ack[:], HeaderSize, 0, flagACK)
	p.datSum = from.template(p.data[:], FrameSize, 0, flagACK)
	for i, b := range [][]byte{p.syn[:], p.ack[:], p.data[:]} {
		binary.BigEndian.PutUint16(b[ipAt+10:], 0)
		p.ipSum[i] = sum(b[ipAt:ipAt+ipLen], 0)
	}
	return p
}

// Len returns how many connections there may be.
func (p *Many) Len() int { return len(p.conns) }

// Start makes the SYNs of the connections from slot first up to but not including last due.
func (p *Many) Start(first, last int) {
	for i := first; i < last; i++ {
		p.due = append(p.due, dueLong{uint32(i), true})
	}
}

// Due returns how many frames are to be delivered.
func (p *Many) Due() int { return len(p.due) - p.head }

// Tick moves the clock of the timestamps.
func (p *Many) Tick() { p.round++ }

// Frame writes the next frame that is due.
func (p *Many) Frame(b []byte) int {
	d := p.due[p.head]
	if p.head++; p.head == len(p.due) {
		p.due, p.head = p.due[:0], 0
	}
	c := &p.conns[d.slot]
	if !d.syn {
		n := copy(b, p.ack[:])
		p.finish(b, n, d.slot, c, p.ackSum, p.ipSum[1], true)
		return n
	}
	n := copy(b, p.syn[:])
	binary.BigEndian.PutUint32(b[tcpAt+28:], p.round)
	p.finish(b, n, d.slot, c, p.synSum+halves(p.round), p.ipSum[0], false)
	c.seq++
	return n
}

// Data writes the next full segment of an established connection.
func (p *Many) Data(b []byte, slot int) int {
	c := &p.conns[slot]
	n := copy(b, p.data[:])
	p.finish(b, n, uint32(slot), c, p.datSum, p.ipSum[2], true)
	c.seq += Payload
	return n
}

// finish fills in what every segment has and completes the checksums.
func (p *Many) finish(b []byte, n int, slot uint32, c *long, tcpSum, ipSum uint32, timed bool) {
	addr := 10<<24 | 78<<16 | (slot/portsEach + 1)
	binary.BigEndian.PutUint32(b[ipAt+12:], addr)
	binary.BigEndian.PutUint16(b[ipAt+10:], fold(ipSum+halves(addr)))
	t := b[tcpAt:n]
	port := uint16(firstManyPort + slot%portsEach)
	binary.BigEndian.PutUint16(t[0:], port)
	binary.BigEndian.PutUint32(t[4:], c.seq)
	binary.BigEndian.PutUint32(t[8:], c.rcvNxt)
	tcpSum += uint32(port) + halves(c.seq) + halves(c.rcvNxt) + halves(addr)
	if timed {
		binary.BigEndian.PutUint32(t[24:], p.round)
		binary.BigEndian.PutUint32(t[28:], c.tsEcr)
		tcpSum += halves(p.round) + halves(c.tsEcr)
	}
	binary.BigEndian.PutUint16(t[16:], fold(tcpSum))
}

// Take reads a frame that the stack sent: its headers, and its size with payload.
func (p *Many) Take(head []byte, size int) {
	if !p.carriesTCP(head) {
		return
	}
	t := head[tcpAt:]
	slot := slotOf(head)
	header := int(t[12]>>4) * 4
	if slot < 0 || slot >= len(p.conns) || header > len(t) || header > size-tcpAt {
		p.fail("a segment of connection %d, with a header of %d bytes", slot, header)
		return
	}
	c, flags := &p.conns[slot], t[13]
	o, ok := parseOptions(t[tcpLen:header])
	if !ok {
		p.fail("bad TCP options")
		return
	}
	if o.timestamps {
		c.tsEcr = o.tsVal
	}
	ack := binary.BigEndian.Uint32(t[8:])
	switch {
	case flags&flagRST != 0:
		p.Resets++
		p.fail("the stack reset connection %d", slot)
	case ack != c.seq && int32(ack-c.seq) > 0:
		p.fail("connection %d acknowledges %d, sent was %d", slot, ack, c.seq)
	case flags&flagSYN != 0:
		c.rcvNxt = binary.BigEndian.Uint32(t[4:]) + 1
		p.due = append(p.due, dueLong{uint32(slot), false})
		if !c.open {
			c.open = true
			p.Established++
		}
	}
}

// AckedSlot returns the connection all of whose data the frame, which the stack sent, acknowledges; -1 if it does not.
func (p *Many) AckedSlot(head []byte) int {
	slot := slotOf(head)
	if slot < 0 || slot >= len(p.conns) || binary.BigEndian.Uint32(head[tcpAt+8:]) != p.conns[slot].seq {
		return -1
	}
	return slot
}

// slotOf returns the connection that a frame belongs to by its destination.
func slotOf(head []byte) int {
	if len(head) < tcpAt+tcpLen {
		return -1
	}
	addr, port := binary.BigEndian.Uint32(head[ipAt+16:]), binary.BigEndian.Uint16(head[tcpAt+2:])
	return int(addr-(10<<24|78<<16|1))*portsEach + int(port) - firstManyPort
}

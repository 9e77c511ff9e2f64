package peer

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// Slots is how many connections a Short has before it uses a port again.
const (
	Slots     = 1024
	firstPort = 20000
)

// Short is the client of many short connections, some at a time: each connects, sends one request, and closes when it has the
// response and the stack's FIN. So TIME-WAIT is the stack's.
//
//	SYN ►  ◄ SYN-ACK   ACK, request ►  ◄ response, FIN   FIN ►  ◄ ACK
//
// The ports go round. A SYN comes to a connection in TIME-WAIT with a later timestamp and a higher sequence number, which the stack
// has to accept (RFC 6191): it holds Slots connections in TIME-WAIT, and no more, however fast it is.
type Short struct {
	link

	Opened uint64 // connections, of
	Done   uint64 // which the stack acknowledged the end

	conns [Slots]short
	next  int // slot of the next connection
	round uint32
	due   []dueFrame
	head  int // of due

	syn     [tcpAt + tcpLen + 20]byte
	ack     [HeaderSize]byte
	request [HeaderSize + 256]byte
	size    int // of the request's frame
	synSum  uint32
	ackSum  uint32
	reqSum  uint32
}

// short is one connection. All of it is written anew by the SYN.
type short struct {
	seq, rcvNxt, tsEcr uint32
	response           uint32 // bytes so far
	phase              phase
}

type phase uint8

const (
	phaseClosed phase = iota
	phaseSynSent
	phaseOpen    // the request is due or sent
	phaseFIN     // the FIN is due
	phaseLastACK // the FIN is sent
)

type dueFrame struct {
	slot uint16
	kind byte
}

const (
	dueSYN = iota
	dueACK
	dueRequest
	dueFIN
)

// NewShort makes a client that has sent nothing.
func NewShort(cfg Config) *Short {
	p := &Short{link: link{cfg: cfg}}
	p.writeSYN(p.syn[:], 0, 0, 0)
	binary.BigEndian.PutUint16(p.syn[tcpAt+16:], 0)
	p.synSum = p.sum(p.syn[:], len(p.syn))
	p.ackSum = p.template(p.ack[:], HeaderSize, 0, flagACK)
	p.size = HeaderSize + copy(p.request[HeaderSize:], app.OneShot)
	p.reqSum = p.template(p.request[:], p.size, 0, flagACK|flagPSH)
	return p
}

// Start makes n more connections due.
func (p *Short) Start(n int) {
	p.round++
	for range n {
		slot := p.next
		p.next = (p.next + 1) % Slots
		if c := &p.conns[slot]; c.phase != phaseClosed {
			p.fail("the connection from port %d is not at its end when its turn comes again", firstPort+slot)
			return
		}
		// Far beyond what the connection before it used.
		p.conns[slot] = short{phase: phaseSynSent, seq: p.round << 12}
		p.due = append(p.due, dueFrame{uint16(slot), dueSYN})
		p.Opened++
	}
}

// Due returns how many frames are to be delivered.
func (p *Short) Due() int { return len(p.due) - p.head }

// Frame writes the next frame that is due.
func (p *Short) Frame(b []byte) int {
	d := p.due[p.head]
	if p.head++; p.head == len(p.due) {
		p.due, p.head = p.due[:0], 0
	}
	c := &p.conns[d.slot]
	port := uint16(firstPort + int(d.slot))
	switch d.kind {
	case dueSYN:
		n := copy(b, p.syn[:])
		t := b[tcpAt:n]
		binary.BigEndian.PutUint32(t[28:], p.round)
		p.finish(t, c, port, p.synSum+halves(p.round))
		c.seq++
		return n
	case dueRequest:
		n := copy(b, p.request[:p.size])
		p.finishTimed(b[tcpAt:n], c, port, p.reqSum)
		c.seq += uint32(p.size - HeaderSize)
		return n
	case dueFIN:
		n := copy(b, p.ack[:])
		t := b[tcpAt:n]
		t[13] |= flagFIN
		p.finishTimed(t, c, port, p.ackSum+flagFIN)
		c.seq++
		c.phase = phaseLastACK
		return n
	}
	n := copy(b, p.ack[:])
	p.finishTimed(b[tcpAt:n], c, port, p.ackSum)
	return n
}

func (p *Short) finishTimed(t []byte, c *short, port uint16, s uint32) {
	binary.BigEndian.PutUint32(t[24:], p.round)
	binary.BigEndian.PutUint32(t[28:], c.tsEcr)
	p.finish(t, c, port, s+halves(p.round)+halves(c.tsEcr))
}

// finish fills in what every segment has and completes the checksum.
func (p *Short) finish(t []byte, c *short, port uint16, s uint32) {
	binary.BigEndian.PutUint16(t[0:], port)
	binary.BigEndian.PutUint32(t[4:], c.seq)
	binary.BigEndian.PutUint32(t[8:], c.rcvNxt)
	binary.BigEndian.PutUint16(t[16:], fold(s+uint32(port)+halves(c.seq)+halves(c.rcvNxt)))
}

func halves(v uint32) uint32 { return v>>16 + v&0xffff }

// Take reads a frame that the stack sent: its headers, and its size with payload.
func (p *Short) Take(head []byte, size int) {
	if p.carriesTCP(head) {
		p.takeTCP(head[tcpAt:], size-tcpAt)
	}
}

func (p *Short) takeTCP(t []byte, size int) {
	slot := int(binary.BigEndian.Uint16(t[2:])) - firstPort
	header := int(t[12]>>4) * 4
	if slot < 0 || slot >= Slots || header > len(t) || header > size {
		p.fail("a segment to port %d, with a header of %d bytes in %d", firstPort+slot, header, size)
		return
	}
	c, flags := &p.conns[slot], t[13]
	seq, ack := binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:])
	o, ok := parseOptions(t[tcpLen:header])
	if !ok {
		p.fail("bad TCP options")
		return
	}
	if o.timestamps {
		c.tsEcr = o.tsVal
	}
	switch {
	case flags&flagRST != 0:
		p.fail("the stack reset the connection to port %d", firstPort+slot)
	case flags&flagSYN != 0:
		p.takeSYNACK(c, slot, seq, ack)
	default:
		p.takeSegment(c, slot, seq, ack, uint32(size-header), flags&flagFIN != 0)
	}
}

func (p *Short) takeSYNACK(c *short, slot int, seq, ack uint32) {
	if c.phase != phaseSynSent {
		return // again, because a timer fired while the machine was busy with something else
	}
	if ack != c.seq {
		p.fail("the SYN-ACK to port %d acknowledges %d, not %d", firstPort+slot, ack, c.seq)
		return
	}
	c.phase, c.rcvNxt = phaseOpen, seq+1
	p.due = append(p.due, dueFrame{uint16(slot), dueACK}, dueFrame{uint16(slot), dueRequest})
}

func (p *Short) takeSegment(c *short, slot int, seq, ack, payload uint32, fin bool) {
	if c.phase == phaseLastACK && ack == c.seq {
		c.phase = phaseClosed
		p.Done++
		return
	}
	if c.phase != phaseOpen || seq != c.rcvNxt || payload == 0 && !fin {
		return // an acknowledgement, or a segment that comes again
	}
	c.response += payload
	c.rcvNxt += payload
	if !fin {
		return
	}
	c.rcvNxt++
	if c.response != uint32(len(app.Response)) {
		p.fail("a response of %d bytes to port %d", c.response, firstPort+slot)
		return
	}
	c.phase = phaseFIN
	p.due = append(p.due, dueFrame{uint16(slot), dueFIN})
}

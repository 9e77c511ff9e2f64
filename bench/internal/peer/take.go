package peer

import "encoding/binary"

// Take reads a frame that the stack sent: its headers, and its size with payload.
func (p *Peer) Take(head []byte, size int) {
	if len(head) < etherLen {
		p.fail("frame of %d bytes", len(head))
		return
	}
	switch binary.BigEndian.Uint16(head[12:]) {
	case etherARP:
		p.takeARP(head)
	case etherIPv4:
		if len(head) < tcpAt+tcpLen || head[ipAt] != 0x45 || head[ipAt+9] != 6 {
			return // ICMP and the like are none of our business
		}
		p.takeTCP(head[tcpAt:], size-tcpAt)
	}
}

func (p *Peer) takeTCP(t []byte, size int) {
	flags := t[13]
	header := int(t[12]>>4) * 4
	if header > len(t) || header > size {
		p.fail("TCP header of %d bytes in a segment of %d", header, size)
		return
	}
	seq, ack := binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:])
	window := uint32(binary.BigEndian.Uint16(t[14:]))
	payload := uint32(size - header)
	p.options(t[tcpLen:header], flags&flagSYN != 0)
	switch {
	case flags&flagRST != 0:
		p.fail("the stack reset the connection")
		return
	case flags&flagSYN != 0:
		p.Established = ack == p.Seq
		p.RcvNxt, p.lastAck, p.covered = seq+1, seq+1, seq+1
		p.Acked, p.Window = ack, window // never scaled in a SYN (RFC 7323 section 2.2)
		return
	case flags&flagFIN != 0:
		p.fail("the stack closed the connection")
		return
	}
	if int32(ack-p.Acked) >= 0 {
		p.Acked, p.Window = ack, window<<p.shift
	}
	if payload == 0 {
		return
	}
	switch d := int32(seq - p.RcvNxt); {
	case d < 0: // a probe or a retransmission by a timer that fired while the machine was busy with something else
		p.Repeated++
		return
	case d > 0:
		p.fail("a gap of %d bytes, though nothing was lost", d)
		return
	}
	p.RcvNxt += payload
	p.Received += uint64(payload)
	if p.RcvNxt-p.covered >= 2*Payload {
		p.covered = p.RcvNxt
		p.due = append(p.due, p.RcvNxt)
	}
}

// options notes the stack's timestamp, and its window scale from a SYN.
func (p *Peer) options(o []byte, syn bool) {
	if len(o) == optionLen && o[0] == 1 && o[1] == 1 && o[2] == 8 {
		p.tsEcr = binary.BigEndian.Uint32(o[4:])
		return
	}
	for len(o) > 0 && o[0] != 0 {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			p.fail("bad TCP options")
			return
		}
		switch {
		case o[0] == 8 && o[1] == 10:
			p.tsEcr = binary.BigEndian.Uint32(o[2:])
		case o[0] == 3 && o[1] == 3 && syn:
			p.shift = o[2]
		}
		o = o[o[1]:]
	}
}

func (p *Peer) takeARP(b []byte) {
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

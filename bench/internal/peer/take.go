package peer

import "encoding/binary"

// Take reads a frame that the stack sent: its headers, and its size with payload.
func (p *Peer) Take(head []byte, size int) {
	if p.carriesTCP(head) {
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
	if !p.options(t[tcpLen:header], flags&flagSYN != 0) {
		return
	}
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

// options notes the stack's timestamp, and its window scale from a SYN. It reports whether they are well-formed.
func (p *Peer) options(o []byte, syn bool) bool {
	f, ok := parseOptions(o)
	if !ok {
		p.fail("bad TCP options")
		return false
	}
	if f.timestamps {
		p.tsEcr = f.tsVal
	}
	if f.scaled && syn {
		p.shift = f.shift
	}
	return true
}

// found is what a peer wants to know of the options.
type found struct {
	timestamps, scaled bool
	tsVal              uint32
	shift              uint8
}

func parseOptions(o []byte) (f found, ok bool) {
	if len(o) == optionLen && o[0] == 1 && o[1] == 1 && o[2] == 8 {
		return found{timestamps: true, tsVal: binary.BigEndian.Uint32(o[4:])}, true
	}
	for len(o) > 0 && o[0] != 0 {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return f, false
		}
		switch {
		case o[0] == 8 && o[1] == 10:
			f.timestamps, f.tsVal = true, binary.BigEndian.Uint32(o[2:])
		case o[0] == 3 && o[1] == 3:
			f.scaled, f.shift = true, o[2]
		}
		o = o[o[1]:]
	}
	return f, true
}

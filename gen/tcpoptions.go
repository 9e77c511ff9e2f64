package gen

import "encoding/binary"

// tcpOptions returns the options of a TCP layer, in the order and alignment that Linux sends them in (RFC 9293 section 3.1, RFC 7323).
func (l *Layer) tcpOptions() []byte {
	var b []byte
	const nop = 1
	if f := l.get("mss"); f != nil {
		b = binary.BigEndian.AppendUint16(append(b, 2, 4), uint16(f.Values.first()))
	}
	sack := l.get("sack") != nil && l.get("sack").Values.first() == 1
	if f := l.get("ts"); f != nil {
		if sack {
			b = append(b, 4, 2)
		} else {
			b = append(b, nop, nop)
		}
		b = binary.BigEndian.AppendUint32(append(b, 8, 10), uint32(f.Values.first()))
		b = append(b, 0, 0, 0, 0)
	} else if sack {
		b = append(b, nop, nop, 4, 2)
	}
	if f := l.get("ws"); f != nil {
		b = append(b, nop, 3, 3, byte(f.Values.first()))
	}
	return b
}

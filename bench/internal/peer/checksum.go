package peer

import "encoding/binary"

// sum adds b's 16-bit words to an earlier sum. Plain on purpose: it is off the measured path, and shares no code with the stacks.
func sum(b []byte, s uint32) uint32 {
	for len(b) >= 2 {
		s += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// Verify checks the checksums of a whole frame that carries TCP over IPv4.
func Verify(frame []byte) error {
	if len(frame) < tcpAt+tcpLen || binary.BigEndian.Uint16(frame[12:]) != etherIPv4 || frame[ipAt+9] != 6 {
		return nil
	}
	length := int(binary.BigEndian.Uint16(frame[ipAt+2:]))
	if length > len(frame)-etherLen || length < ipLen+tcpLen {
		return ErrChecksum
	}
	if fold(sum(frame[ipAt:tcpAt], 0)) != 0 {
		return ErrChecksum
	}
	if fold(sum(frame[tcpAt:etherLen+length], sum(frame[ipAt+12:tcpAt], 6+uint32(length-ipLen)))) != 0 {
		return ErrChecksum
	}
	return nil
}

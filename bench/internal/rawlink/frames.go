package rawlink

import (
	"encoding/binary"
	"errors"

	"github.com/xdpstack/xdpstack/frame"
)

// prepared is how many frames a sender sends again and again: more than are ever on their way.
const prepared = 1024

// prepare writes frames to the discard port.
func (e *end) prepare() error {
	from := e.queue.HardwareAddr()
	for range prepared {
		f := e.pool.Alloc()
		if f == frame.None {
			return errors.New("rawlink: no frame is free")
		}
		b := e.pool.Chunk(f)[:e.Size]
		clear(b)
		copy(b[0:], e.To)
		copy(b[6:], from[:])
		b[12] = 8 // IPv4
		ip := b[14:]
		ip[0], ip[8], ip[9] = 0x45, 64, 17
		binary.BigEndian.PutUint16(ip[2:], uint16(e.Size-14))
		copy(ip[12:], e.Src.AsSlice())
		copy(ip[16:], e.Dst.AsSlice())
		binary.BigEndian.PutUint16(ip[10:], checksum(ip[:20]))
		udp := ip[20:] // no checksum: nobody looks at it
		binary.BigEndian.PutUint16(udp[0:], 9)
		binary.BigEndian.PutUint16(udp[2:], 9)
		binary.BigEndian.PutUint16(udp[4:], uint16(e.Size-34))
		e.own = append(e.own, frame.Desc{Frame: f, Len: uint32(e.Size)})
	}
	return nil
}

func checksum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

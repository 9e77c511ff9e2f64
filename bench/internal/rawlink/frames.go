package rawlink

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/frame"
)

// prepare writes a frame to the discard port into every free frame of the pool.
func (e *end) prepare() {
	from := e.queue.HardwareAddr()
	var all []frame.Index
	for f := e.pool.Alloc(); f != frame.None; f = e.pool.Alloc() {
		all = append(all, f)
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
	}
	for _, f := range all {
		e.pool.Release(f)
	}
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

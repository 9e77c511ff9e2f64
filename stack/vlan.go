package stack

import (
	"encoding/binary"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
)

// A stack on a VLAN's interface works on the interface below: the program takes the frames with the VLAN's tag, and the tag is
// taken off before the stack looks at them, and put on when all else is done. Each costs a copy of the two hardware addresses.

// tag is the four bytes that go between the addresses and the type of a frame; 0: none.
type tag uint32

func newTag(vlan uint16) tag { return tag(uint32(ethernet.TypeVLAN)<<16 | uint32(vlan)) }

// length returns how much longer it makes a frame.
func (t tag) length() uint32 {
	if t == 0 {
		return 0
	}
	return ethernet.TagLen
}

// addressesLen is the length of what goes before a tag, in bytes.
const addressesLen = 12

// untag takes the tag off each packet that has it. One that has not is left for parseFrame to drop.
func (s *Shard) untag(batch []frame.Desc) {
	for i := 0; i < len(batch); i++ {
		m := s.pool.Meta(batch[i].Frame)
		b := s.pool.Data(batch[i].Frame)
		if len(b) >= addressesLen+ethernet.TagLen && (tag(binary.BigEndian.Uint32(b[addressesLen:]))^s.tag)&0xffff0fff == 0 {
			copy(b[ethernet.TagLen:], b[:addressesLen])
			m.Off += ethernet.TagLen
			m.Len -= ethernet.TagLen
		} else {
			m.Len = 0
		}
		for batch[i].More && i+1 < len(batch) {
			i++
		}
	}
}

// addTag puts the tag into a packet that is complete. Of a packet of several frames, that is for the first.
func (s *Shard) addTag(d frame.Desc) frame.Desc {
	if n := len(s.txq); n > 0 && s.txq[n-1].More {
		return d
	}
	d.Off -= ethernet.TagLen
	d.Len += ethernet.TagLen
	b := s.pool.Bytes(d)
	copy(b[:addressesLen], b[ethernet.TagLen:])
	binary.BigEndian.PutUint32(b[addressesLen:], uint32(s.tag))
	return d
}

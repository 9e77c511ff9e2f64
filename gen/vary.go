package gen

import (
	"encoding/binary"
	"math/bits"
)

// op writes one field that varies.
type op struct {
	off   int
	width uint8
	odd   uint8 // 8 if the field ends in the middle of a 16-bit word of the checksum, which it is shifted by then
	sums  uint8 // the checksums that cover it, a set of bits
	group uint8 // where it is added up: see work
	how   how
	base  uint64   // the first value, and the other bits of its word
	step  uint64   // between values
	list  []uint64 // in place of base and step, if not nil
	count uint64   // of values
	salt  uint64   // of random values

	index uint64 // of the value of the next packet
	ahead uint64 // by how much that of a worker's next packet is ahead
	value uint64 // the next packet's, of a field that is counting
	// Of fields that do not go on with every packet: after how many they do, how many of them there were since, and how many a worker's
	// next packet is ahead beyond whole values.
	every, past, rest uint64
}

// how is how a field goes from value to value.
type how uint8

const (
	counting how = iota // by a step with every packet, in a word of 2 or 4 bytes: what most fields do, done in one go
	stepping            // with every packet
	nested
	random
)

// maxOps is how many fields may vary: so many values of at most 56 bits, and a signature, add up without a carry.
const maxOps = 64

// batch is how many packets are written at a time at most: what belongs to one field is done for all before the next field, so that the
// field's state stays in registers and there is nothing to decide for each packet.
const batch = 32

// work is a batch of packets of one stream.
type work struct {
	n        int // packets
	packets  [batch][]byte
	variants [batch]*variant
	x        [batch]uint64 // the values of a field
	// What was written, added up: not for each checksum, but for each set of checksums that cover the same fields.
	groups [maxGroups][batch]uint64
}

// maxGroups is how many sets of checksums there are: that of none, of either of two or both, or of four in a tunnel.
const maxGroups = 1 << maxChecks

// vary writes what varies of the stream's next packets over their templates, which are in place, and goes on to those after them.
func (s *stream) vary(w *work, now uint64) {
	for g := range s.groups {
		clear(w.groups[g][:w.n])
	}
	for i := range s.ops {
		o := &s.ops[i]
		if o.how == counting {
			o.writeCounting(w)
			continue
		}
		o.values(s, w.x[:w.n])
		o.put(w)
		w.add(o.group, o.odd)
	}
	if s.signed {
		s.sign(w, now)
	}
	for k := range s.checks {
		s.checks[k].put(w, k)
	}
}

// add adds the values to a group.
func (w *work) add(group, shift uint8) {
	sums := w.groups[group][:w.n]
	for i, x := range w.x[:len(sums)] {
		sums[i] += x << (shift & 63)
	}
}

// writeCounting is values, put and add for a field that is counting.
func (o *op) writeCounting(w *work) {
	packets := w.packets[:w.n]
	sums := w.groups[o.group][:len(packets)]
	off, value, ahead := o.off, o.value, o.ahead*o.step
	round := o.count * o.step
	end := o.base + round
	if o.width == 2 {
		for i, b := range packets {
			binary.BigEndian.PutUint16(b[off:], uint16(value))
			sums[i] += value
			if value += ahead; value >= end {
				value -= round
			}
		}
	} else {
		for i, b := range packets {
			binary.BigEndian.PutUint32(b[off:], uint32(value))
			sums[i] += value
			if value += ahead; value >= end {
				value -= round
			}
		}
	}
	o.value = value
}

// values returns the values of the stream's next packets, and goes on to those after them.
func (o *op) values(s *stream, x []uint64) {
	switch o.how {
	case stepping:
		o.stepping(x)
	case nested:
		o.nested(x)
	case random:
		number := s.seed + o.salt + s.number*golden
		for i := range x {
			x[i], _ = bits.Mul64(mix(number), o.count)
			number += s.workers * golden
		}
	}
	if o.list != nil {
		for i := range x {
			x[i] = o.list[x[i]]
		}
		return
	}
	base, step := o.base, o.step
	for i := range x {
		x[i] = base + x[i]*step
	}
}

// stepping is values, as indices, of a field that goes on with every packet.
func (o *op) stepping(x []uint64) {
	index, ahead, count := o.index, o.ahead, o.count
	for i := range x {
		x[i] = index
		if index += ahead; index >= count {
			index -= count
		}
	}
	o.index = index
}

// nested is values, as indices, of a field that goes on more seldom.
func (o *op) nested(x []uint64) {
	for i := range x {
		x[i] = o.index
		o.index += o.ahead
		if o.past += o.rest; o.past >= o.every {
			o.past -= o.every
			o.index++
		}
		if o.index >= o.count {
			o.index -= o.count
		}
	}
}

// seek sets everything for the packet with a number.
func (o *op) seek(number, workers uint64) {
	o.index = number / o.every % o.count
	o.past = number % o.every
	o.ahead = workers / o.every % o.count
	o.rest = workers % o.every
	o.value = o.base + o.index*o.step
}

// put writes the values.
func (o *op) put(w *work) {
	packets := w.packets[:w.n]
	off := o.off
	switch o.width {
	case 1:
		for i, b := range packets {
			b[off] = byte(w.x[i])
		}
	case 2:
		for i, b := range packets {
			binary.BigEndian.PutUint16(b[off:], uint16(w.x[i]))
		}
	case 4:
		for i, b := range packets {
			binary.BigEndian.PutUint32(b[off:], uint32(w.x[i]))
		}
	case 6:
		for i, b := range packets {
			binary.BigEndian.PutUint16(b[off:], uint16(w.x[i]>>32))
			binary.BigEndian.PutUint32(b[off+2:], uint32(w.x[i]))
		}
	}
}

// sign writes the signatures and adds them up.
func (s *stream) sign(w *work, now uint64) {
	fixed := s.sigHead>>32 + now>>32 + now&max32
	sums := w.groups[s.sigGroup][:w.n]
	for i, b := range w.packets[:len(sums)] {
		end := w.variants[i].end
		sig := (*[SignatureLen]byte)(b[end-SignatureLen:])
		binary.BigEndian.PutUint64(sig[0:], s.sigHead|uint64(s.seq))
		binary.BigEndian.PutUint64(sig[8:], now)
		sums[i] += (fixed + uint64(s.seq)) << (8 * (end & 1))
		s.seq++
	}
}

// put writes checksum k of each packet.
func (c *check16) put(w *work, k int) {
	x := w.x[:w.n]
	for i, v := range w.variants[:len(x)] {
		x[i] = v.sums[k]
	}
	for _, g := range c.groups[1:] {
		for i, sum := range w.groups[g][:len(x)] {
			x[i] += sum
		}
	}
	last := w.groups[c.groups[0]][:len(x)]
	for i, b := range w.packets[:len(x)] {
		sum := c.finish(x[i] + last[i])
		binary.BigEndian.PutUint16(b[c.field:], sum)
		x[i] = uint64(sum)
	}
	if c.outer != 0 {
		w.add(c.outerGroup, 0)
	}
}

// finish returns the value of the field.
func (c *check16) finish(sum uint64) uint16 {
	// Each half is added to the other, and the upper one has the carry of the lower, which is the end-around carry.
	sum = (sum + bits.RotateLeft64(sum, 32)) >> 32
	half := uint32(sum)
	field := ^uint16((half+bits.RotateLeft32(half, 16))>>16) ^ c.flip
	if field == 0 && c.udp {
		return 0xffff // zero would say that there is no checksum (RFC 768)
	}
	return field
}

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
	how   how
	base  uint64   // the first value, and the other bits of its word
	step  uint64   // between values
	list  []uint64 // in place of base and step, if not nil
	count uint64   // of values
	salt  uint64   // of random values

	index uint64 // of the value of the next packet
	ahead uint64 // by how much that of a worker's next packet is ahead
	// Of fields that do not go on with every packet: after how many they do, how many of them there were since, and how many a worker's
	// next packet is ahead beyond whole values.
	every, past, rest uint64
}

// how is how a field goes from value to value.
type how uint8

const (
	stepping how = iota // with every packet
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
	x        [batch]uint64            // the values of a field
	sums     [maxChecks][batch]uint64 // of each checksum
}

// vary writes what varies of the stream's next packets over their templates, which are in place, and goes on to those after them.
func (s *stream) vary(w *work, now uint64) {
	for k := range s.checks {
		sums := &w.sums[k]
		for i, v := range w.variants[:w.n] {
			sums[i&(batch-1)] = v.sums[k]
		}
	}
	for i := range s.ops {
		o := &s.ops[i]
		o.values(s, w.x[:w.n])
		o.put(w)
		w.add(o.sums, o.odd)
	}
	if s.signed {
		s.sign(w, now)
	}
	for k := range s.checks {
		s.checks[k].put(w, k)
		w.add(s.checks[k].outer, 0)
	}
}

// add adds the values to those of the sums that the set has.
func (w *work) add(set, shift uint8) {
	for k := 0; set != 0; k++ {
		if set&1 != 0 {
			sums := w.sums[k][:w.n]
			for i, x := range w.x[:len(sums)] {
				sums[i] += x << (shift & 63)
			}
		}
		set >>= 1
	}
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

// sign writes the signatures and adds them to the sums.
func (s *stream) sign(w *work, now uint64) {
	for i, b := range w.packets[:w.n] {
		end := w.variants[i].end
		sig := (*[SignatureLen]byte)(b[end-SignatureLen:])
		head := s.sigHead | uint64(s.seq)
		s.seq++
		binary.BigEndian.PutUint64(sig[0:], head)
		binary.BigEndian.PutUint64(sig[8:], now)
		w.x[i] = (head>>32 + head&max32 + now>>32 + now&max32) << (8 * (end & 1))
	}
	w.add(s.sigSums, 0)
}

// put writes checksum k of each packet, and leaves it as the values.
func (k *check16) put(w *work, at int) {
	sums := &w.sums[at]
	for i, b := range w.packets[:w.n] {
		c := k.finish(sums[i])
		binary.BigEndian.PutUint16(b[k.field:], c)
		w.x[i] = uint64(c)
	}
}

// finish returns the value of the field.
func (k *check16) finish(sum uint64) uint16 {
	// Each half is added to the other, and the upper one has the carry of the lower, which is the end-around carry.
	sum = (sum + bits.RotateLeft64(sum, 32)) >> 32
	half := uint32(sum)
	c := ^uint16((half + bits.RotateLeft32(half, 16)) >> 16)
	c ^= k.flip
	if c == 0 && k.udp {
		c = 0xffff // zero would say that there is no checksum (RFC 768)
	}
	return c
}

package gen

import (
	"encoding/binary"
	"math/bits"
)

// Program writes the packets of one worker. It is for one goroutine.
type Program struct {
	streams []stream
	round   []uint32 // whose turn it is
	at      int
	maxLen  int
	meanLen float64
}

// stream is a Stream in a program.
//
// A packet is the template of its size with what varies written over it. A checksum is the sum of what does not vary, which the template
// has, and of what was written: the incremental update of RFC 1624, with nothing to take away because the template has zeros there.
// 2^16 is 1 in the arithmetic of the Internet checksum, so words of any number of bits are added as they are (RFC 1071 section 2).
type stream struct {
	variants []variant
	turn     []uint32 // the variants, packet after packet
	slot     int
	ops      []op
	checks   []check16
	seed     uint64
	sigHead  uint64
	sent     uint64 // packets that this worker has written
	shift    uint64 // packets until the workers shift
	worker   uint64
	workers  uint64
	number   uint64 // of the packet that comes next, among those of all workers
	seq      uint32
	sigSums  uint8 // the checksums that cover the signature, a set of bits
	signed   bool
	random   bool // sizes are
}

// variant is a stream's template for one size.
type variant struct {
	head, rest []byte
	len, end   int32 // bytes of the packet, and of those before the padding
	sums       [maxChecks]uint64
}

// maxChecks is how many checksums a packet has: of IPv4 and of what is in it, twice in a tunnel.
const maxChecks = 4

// op writes one field that varies.
type op struct {
	off    uint32
	width  uint8
	rotate uint8 // how far the sum of a field that ends in the middle of a 16-bit word is rotated
	sums   uint8 // the checksums that cover it, a set of bits
	random bool
	base   uint64   // the first value, and the other bits of its word
	step   uint64   // between values
	list   []uint64 // in their place
	count  uint64   // of values
	index  uint64   // of the next one
	every  uint64   // packets until the next one
	salt   uint64   // of random values

	// How far the packets of a worker are apart in values: by ahead, and one more when past, which grows by rest, reaches every.
	ahead, rest, past uint64
}

// MaxLen returns the length of the longest packet in bytes, without the frame check sequence.
func (p *Program) MaxLen() int { return p.maxLen }

// MeanLen returns the mean length of the packets in bytes, without the frame check sequence.
func (p *Program) MeanLen() float64 { return p.meanLen }

// Signed reports whether any of the packets have a signature.
func (p *Program) Signed() bool {
	for i := range p.streams {
		if p.streams[i].signed {
			return true
		}
	}
	return false
}

// Reset lets the program begin again with the first packet.
func (p *Program) Reset() {
	p.at = 0
	for i := range p.streams {
		s := &p.streams[i]
		s.sent, s.seq = 0, 0
		s.seek()
	}
}

// Next writes the next packet to the start of b, which must have room for MaxLen bytes, and returns its length. now is the time for the
// signature in nanoseconds of CLOCK_TAI; without a signature it has no meaning.
func (p *Program) Next(b []byte, now uint64) int {
	s := p.stream()
	v := s.variant()
	n := copy(b, v.head)
	n += copy(b[n:], v.rest)
	s.vary(b[:n], v, now)
	return n
}

// stream returns the stream that the next packet is of.
func (p *Program) stream() *stream {
	s := &p.streams[p.round[p.at]]
	if p.at++; p.at == len(p.round) {
		p.at = 0
	}
	return s
}

// variant returns the template of the stream's next packet.
func (s *stream) variant() *variant {
	if s.random {
		i, _ := bits.Mul64(mix(s.seed+s.number*golden), uint64(len(s.turn)))
		return &s.variants[s.turn[i]]
	}
	return &s.variants[s.turn[s.slot]]
}

// vary writes what varies of the stream's next packet over its template in b, and goes on to the one after it.
func (s *stream) vary(b []byte, v *variant, now uint64) {
	sums := v.sums
	for i := range s.ops {
		o := &s.ops[i]
		x := o.next(s)
		o.put(b, x)
		x = bits.RotateLeft64(x, int(o.rotate))
		add(&sums, o.sums, x)
	}
	if s.signed {
		sig := (*[SignatureLen]byte)(b[v.end-SignatureLen:])
		head := s.sigHead | uint64(s.seq)
		binary.BigEndian.PutUint64(sig[0:], head)
		binary.BigEndian.PutUint64(sig[8:], now)
		turn := int(v.end&1) * 8
		add(&sums, s.sigSums, bits.RotateLeft64(head, turn))
		add(&sums, s.sigSums, bits.RotateLeft64(now, turn))
		s.seq++
	}
	for i := range s.checks {
		k := &s.checks[i]
		c := k.finish(sums[i])
		binary.BigEndian.PutUint16(b[k.field:], c)
		add(&sums, k.outer, uint64(c))
	}
	s.step()
}

// add adds x to those of the sums that the set has.
func add(sums *[maxChecks]uint64, set uint8, x uint64) {
	for i := 0; set != 0; i++ {
		if set&1 != 0 {
			sum, carry := bits.Add64(sums[i], x, 0)
			sums[i] = sum + carry
		}
		set >>= 1
	}
}

// finish returns the value of the field.
func (k *check16) finish(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	c := ^uint16(sum)
	if k.bad {
		c ^= 0x5555
	}
	if k.udp && c == 0 {
		c = 0xffff // zero would say that there is no checksum (RFC 768)
	}
	return c
}

// next returns the value for the stream's next packet and goes on to the one after it.
func (o *op) next(s *stream) uint64 {
	i := o.index
	if o.random {
		i, _ = bits.Mul64(mix(s.seed+o.salt+s.number*golden), o.count)
	} else {
		o.advance()
	}
	if o.list != nil {
		return o.list[i]
	}
	return o.base + i*o.step
}

// advance goes on to the value of this worker's next packet.
func (o *op) advance() {
	o.index += o.ahead
	if o.past += o.rest; o.past >= o.every {
		o.past -= o.every
		o.index++
	}
	if o.index >= o.count {
		o.index -= o.count
	}
}

// put writes the value.
func (o *op) put(b []byte, x uint64) {
	switch o.width {
	case 1:
		b[o.off] = byte(x)
	case 2:
		binary.BigEndian.PutUint16(b[o.off:], uint16(x))
	case 4:
		binary.BigEndian.PutUint32(b[o.off:], uint32(x))
	case 6:
		binary.BigEndian.PutUint16(b[o.off:], uint16(x>>32))
		binary.BigEndian.PutUint32(b[o.off+2:], uint32(x))
	}
}

// shiftEvery is after how many of its packets a worker takes the place of the next one among the workers, where packets have several
// sizes: otherwise of two workers one would send all the short packets of a stream whose packets are short and long in turn.
const shiftEvery = 64

// step goes on to this worker's next packet of the stream.
func (s *stream) step() {
	s.sent++
	if s.shift--; s.shift == 0 {
		s.seek()
		return
	}
	s.number += s.workers
	if s.slot += int(s.workers); s.slot >= len(s.turn) {
		s.slot %= len(s.turn)
	}
}

// seek sets everything for the packet after those that were sent. Of each row of packets, one for each worker, each worker has one.
func (s *stream) seek() {
	place := s.worker
	s.shift = 1 << 62
	if len(s.turn) > 1 && s.workers > 1 {
		place = (s.worker + s.sent/shiftEvery) % s.workers
		s.shift = shiftEvery - s.sent%shiftEvery
	}
	s.number = s.sent*s.workers + place
	s.slot = int(s.number % uint64(len(s.turn)))
	for i := range s.ops {
		o := &s.ops[i]
		o.index = s.number / o.every % o.count
		o.past = s.number % o.every
		o.ahead = s.workers / o.every % o.count
		o.rest = s.workers % o.every
	}
}

// maxLen returns the length of the longest packet.
func (s *stream) maxLen() int {
	n := int32(0)
	for i := range s.variants {
		n = max(n, s.variants[i].len)
	}
	return int(n)
}

// meanLen returns the mean length of the packets.
func (s *stream) meanLen() float64 {
	total := 0
	for _, i := range s.turn {
		total += int(s.variants[i].len)
	}
	return float64(total) / float64(len(s.turn))
}

package gen

import (
	"math/bits"
)

// Program writes the packets of one worker. It is for one goroutine.
type Program struct {
	streams []stream
	round   []uint32 // whose turn it is
	at      int
	maxLen  int
	meanLen float64
	holds   holdings
	whose   [batch]uint32 // the streams of the packets of a batch
	work    work
}

// stream is a Stream in a program.
//
// A packet is the template of its size with what varies written over it. A checksum is the sum of what does not vary, which the template
// has, and of what was written: the incremental update of RFC 1624, with nothing to take away because the template has zeros there.
// 2^16 is 1 in the arithmetic of the Internet checksum, so words of any number of bits are added as they are (RFC 1071 section 2).
type stream struct {
	variants []variant
	turn     []uint32 // the variants, packet after packet
	slot     int      // in turn
	slotStep int      // to that of this worker's next packet
	ops      []op
	checks   []check16 // those that are not the same in all packets, the innermost first
	seed     uint64
	sigHead  uint64
	seq      uint32
	groups   []uint8 // sets of checksums, as bits, that cover the same
	sigGroup uint8   // that of the signature
	signed   bool
	random   bool // sizes are

	sent            uint64 // packets that this worker has written
	untilShift      uint64 // packets until the workers shift
	worker, workers uint64
	number          uint64 // of the packet that comes next, among those of all workers
}

// variant is a stream's template for one size.
type variant struct {
	head, rest []byte
	len, end   int32  // bytes of the packet, and of those before the padding
	index      uint32 // among those of the program
	sums       [maxChecks]uint64
}

// maxChecks is how many checksums a packet has: of IPv4 and of what is in it, twice in a tunnel.
const maxChecks = 4

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
// signature in nanoseconds of CLOCK_TAI; without a signature it has no meaning. Write is faster.
func (p *Program) Next(b []byte, now uint64) int {
	s := p.next()
	w := &p.work
	v := s.variant(0)
	w.n, w.variants[0], w.packets[0] = 1, v, b[:v.len]
	v.copy(w.packets[0])
	s.vary(w, now)
	s.skip(1)
	return int(v.len)
}

// copy writes the template to b, which has its length.
func (v *variant) copy(b []byte) {
	n := copy(b, v.head)
	if n < len(b) {
		copy(b[n:], v.rest)
	}
}

// next returns the stream that the next packet is of.
func (p *Program) next() *stream {
	s := &p.streams[p.round[p.at]]
	if p.at++; p.at == len(p.round) {
		p.at = 0
	}
	return s
}

// variant returns the template of the stream's next packet after those that it was called for since skip, so many.
func (s *stream) variant(since int) *variant {
	if len(s.turn) == 1 {
		return &s.variants[0]
	}
	if s.random {
		number := s.number + uint64(since)*s.workers
		i, _ := bits.Mul64(mix(s.seed+number*golden), uint64(len(s.turn)))
		return &s.variants[s.turn[i]]
	}
	v := &s.variants[s.turn[s.slot]]
	if s.slot += s.slotStep; s.slot >= len(s.turn) {
		s.slot -= len(s.turn)
	}
	return v
}

// shiftEvery is after how many of its packets a worker takes the place of the next one among the workers, where packets have several
// sizes: otherwise of two workers one would send all the short packets of a stream whose packets are short and long in turn.
const shiftEvery = 64

// skip goes on by n packets of this worker, not beyond where the workers shift. The fields and the turn are there already.
func (s *stream) skip(n int) {
	s.sent += uint64(n)
	if s.untilShift -= uint64(n); s.untilShift == 0 {
		s.seek()
		return
	}
	s.number += uint64(n) * s.workers
}

// seek sets everything for the packet after those that were sent. Of each row of packets, one for each worker, each worker has one.
func (s *stream) seek() {
	place := s.worker
	s.untilShift = 1 << 62
	if len(s.turn) > 1 && s.workers > 1 {
		place = (s.worker + s.sent/shiftEvery) % s.workers
		s.untilShift = shiftEvery - s.sent%shiftEvery
	}
	s.number = s.sent*s.workers + place
	s.slot = int(s.number % uint64(len(s.turn)))
	for i := range s.ops {
		s.ops[i].seek(s.number, s.workers)
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

package measure

import (
	"math/bits"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/gen"
)

// arrival is a packet of a stream that came.
type arrival struct {
	gen.Signature
	at     uint64 // by CLOCK_TAI, or
	device bool   // by the card's clock
}

// stream is what is known of one sequence.
type stream struct {
	id     uint16
	window window
	counts Counts
	hists  histograms

	begun     bool
	lost      uint64 // in sequences before the last restart
	start     uint32 // the number that the present sequence began with
	topTime   uint64 // in the packet with the highest number
	extentSum uint64
	extentMax uint32

	last    arrival // the one before, for the variation
	timed   bool    // there is one
	jitter  uint64  // RFC 3550's J, in sixteenths of a ns, as in its section A.8
	suspect arrival // fits nothing so far
	doubt   bool    // there is one
}

// histograms are of what a packet's times tell, in ns, and of the extents of reordering, in packets.
type histograms struct {
	latency, variation, extent *hdr.Histogram
}

const (
	longest   = 1 << 36 // ns, 69 s: what a latency or a variation may be
	maxJump   = 1 << 24 // how far ahead a packet is believed without another
	maxExtent = 1 << 32
)

func newHistograms() histograms {
	return histograms{hdr.New(1, longest, 3), hdr.New(1, longest, 3), hdr.New(1, maxExtent, 2)}
}

func (h *histograms) reset() {
	h.latency.Reset()
	h.variation.Reset()
	h.extent.Reset()
}

func (h *histograms) merge(o *histograms) {
	h.latency.Merge(o.latency)
	h.variation.Merge(o.variation)
	h.extent.Merge(o.extent)
}

// input takes a packet of the stream.
func (s *stream) input(a arrival) {
	if !s.begun {
		s.begun = true
		s.begin(a)
		return
	}
	n := s.window.number(a.Sequence)
	where := s.window.find(n)
	switch {
	case where == ahead && n-s.window.next >= maxJump || where != ahead && a.Time > s.topTime:
		s.suspicious(a)
		return
	case where == behind && a.Time == 0: // late, or of a sender that began anew: no time tells
		s.suspicious(a)
		return
	case where == behind:
		s.counts.Late++
		return
	case where == seen:
		s.counts.Duplicates++
		return
	}
	s.take(n, where, a)
}

// begin starts a sequence with a packet.
func (s *stream) begin(a arrival) {
	s.window.begin(a.Sequence)
	s.start, s.timed, s.topTime = a.Sequence, false, a.Time
	s.take(s.window.next, ahead, a)
}

// take counts a first copy.
func (s *stream) take(n uint64, where place, a arrival) {
	s.window.take(n)
	s.counts.Received++
	if where == ahead {
		if a.Time < s.topTime {
			s.counts.TimeJumps++
		}
		s.topTime = a.Time
	} else {
		s.counts.Reordered++
		s.extentSum += uint64(s.window.extent)
		s.extentMax = max(s.extentMax, s.window.extent)
		_ = s.hists.extent.RecordValue(int64(s.window.extent))
	}
	s.clock(a)
}

// suspicious judges a packet that is far ahead, or behind but sent later than what is before it. Two that follow each other closely
// are believed: the numbers went on there, or the sender began anew (RFC 3550 section A.1 does the same).
func (s *stream) suspicious(a arrival) {
	first := s.suspect
	if distance := a.Sequence - first.Sequence - 1; !s.doubt || uint64(distance) >= s.window.size() || a.Time < first.Time {
		s.counts.Implausible++
		s.suspect, s.doubt = a, true
		return
	}
	s.doubt = false
	s.counts.Implausible-- // it was the first of two
	if n := s.window.number(first.Sequence); s.window.find(n) == ahead {
		s.counts.Jumps++
		s.take(n, ahead, first)
	} else {
		s.counts.Restarts++
		s.lost += s.window.lost()
		s.begin(first)
	}
	s.input(a)
}

// clock records what the times of a packet tell.
func (s *stream) clock(a arrival) {
	if a.Time == 0 {
		s.counts.Untimed++
		s.timed = false
		return
	}
	s.vary(a)
	switch latency := int64(a.at - a.Time); {
	case a.device:
		s.counts.Untimed++
	case latency < 0:
		s.counts.Untimed++
		s.counts.Negative++
	case latency > longest:
		s.counts.Untimed++
		s.counts.TooLong++
	default:
		_ = s.hists.latency.RecordValue(latency) // it is within the range
	}
}

// vary records by how much the latency differs from the last one's. Clocks that differ do not matter, but both arrivals must be by
// the same one.
func (s *stream) vary(a arrival) {
	last, timed := s.last, s.timed
	s.last, s.timed = a, true
	if !timed || last.device != a.device {
		return
	}
	d := int64(a.at-a.Time) - int64(last.at-last.Time)
	if d < 0 {
		d = -d
	}
	if uint64(d) > longest { // the least number too, which has no opposite
		s.counts.TimeJumps++
		return
	}
	s.jitter += uint64(d) - (s.jitter+8)>>4
	_ = s.hists.variation.RecordValue(d)
}

// lostNow returns how many packets were lost so far, or are under way.
func (s *stream) lostNow() uint64 { return s.lost + s.window.lost() }

// wordsOf returns the size of a window that has so many numbers at least: a power of two, and whole words.
func wordsOf(numbers int) int { return max(1<<bits.Len(uint(numbers-1)), 64) }

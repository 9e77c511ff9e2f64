package measure

import (
	"errors"
	"fmt"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what was measured.
type Report struct {
	Counts
	Lost      uint64         `json:"lost"` // numbers between the first and the highest of each stream that have not come
	Sent      uint64         `json:"sent,omitempty"`
	Settled   bool           `json:"settled"` // Lost counts from the sender's first packet to its last: see Settle
	Latency   Times          `json:"latency_ns"`
	Variation Times          `json:"variation_ns"`
	Extent    Extent         `json:"extent_packets"`
	Streams   []StreamReport `json:"streams"`

	Since Counts `json:"-"` // since the report before

	latency, variation, latencySince *hdr.Histogram
}

// StreamReport is what was measured of one stream of one worker.
type StreamReport struct {
	Worker    uint8   `json:"worker"`
	Stream    uint8   `json:"stream"`
	First     uint32  `json:"first"`   // the sequence number that the present sequence began with
	Highest   uint32  `json:"highest"` // and the highest that has come
	Lost      uint64  `json:"lost"`
	Jitter    float64 `json:"jitter_ns"` // RFC 3550's, in ns
	Latency   Times   `json:"latency_ns"`
	Variation Times   `json:"variation_ns"`
	Extent    Extent  `json:"extent_packets"`
	Counts    Counts  `json:"counts"` // those of Counts that are of one stream
}

// Times is what a histogram of times says, in ns.
type Times struct {
	Count int64 `json:"count"`
	Min   int64 `json:"min"`
	Mean  int64 `json:"mean"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
	P999  int64 `json:"p99.9"`
	P9999 int64 `json:"p99.99"`
	Max   int64 `json:"max"`
}

// Extent is how far packets were reordered, in packets (RFC 4737 section 4.2.2).
type Extent struct {
	Mean int64 `json:"mean"`
	P99  int64 `json:"p99"`
	Max  int64 `json:"max"`
}

// TimesOf says what is in a histogram of ns.
func TimesOf(h *hdr.Histogram) Times {
	if h == nil || h.TotalCount() == 0 {
		return Times{}
	}
	return Times{
		Count: h.TotalCount(), Min: h.Min(), Mean: int64(h.Mean()), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
		P9999: h.ValueAtQuantile(99.99),
	}
}

func extentOf(h *hdr.Histogram) Extent {
	return Extent{Mean: int64(h.Mean()), P99: h.ValueAtQuantile(99), Max: h.Max()}
}

// report tells what is known of a stream but for its histograms.
func (s *stream) report() StreamReport {
	r := StreamReport{Worker: uint8(s.id >> 8), Stream: uint8(s.id), Counts: s.counts, Jitter: float64(s.jitter) / 16}
	if s.begun {
		r.First, r.Highest, r.Lost = s.start, uint32(s.window.next-1), s.lostNow()
	}
	return r
}

func (s *StreamReport) setHistograms(h *histograms) {
	s.Latency, s.Variation, s.Extent = TimesOf(h.latency), TimesOf(h.variation), extentOf(h.extent)
}

// sum adds up the streams.
func (r *Report) sum(all []histograms) {
	h := newHistograms()
	for i := range r.Streams {
		h.merge(&all[i])
		r.Lost += r.Streams[i].Lost
	}
	r.latency, r.variation = h.latency, h.variation
	r.Latency, r.Variation, r.Extent = TimesOf(h.latency), TimesOf(h.variation), extentOf(h.extent)
}

// Histograms returns all latencies, all variations, and the latencies since the report before, in ns.
func (r *Report) Histograms() (latency, variation, since *hdr.Histogram) {
	return r.latency, r.variation, r.latencySince
}

// LostShare returns the share of packets that were lost of those that should have come.
func (r *Report) LostShare() float64 { return share(r.Lost, r.Lost+r.Received) }

// ReorderedShare returns RFC 4737's ratio of reordered packets (section 4.1): of those received, without duplicates.
func (r *Report) ReorderedShare() float64 { return share(r.Reordered, r.Received) }

func share(part, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// ErrSettle is what Settle wraps: what the sender says and what came do not fit.
var ErrSettle = errors.New("measure: the sender's count does not fit what was received")

// Settle takes how many packets the sender has sent, of all streams together, from its first one to its last. What was lost at the
// beginning and at the end is known then: Lost is what was sent and not received. The sender must have begun after the receiver, and
// ended before. Of a sender that began anew the count says nothing.
func (r *Report) Settle(sent uint64) error {
	switch {
	case r.Restarts != 0:
		return fmt.Errorf("%w: it began anew meanwhile", ErrSettle)
	case r.Received > sent:
		return fmt.Errorf("%w: %d packets came, and %d were sent", ErrSettle, r.Received, sent)
	}
	r.Sent, r.Lost, r.Settled = sent, sent-r.Received, true
	return nil
}

package report

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histogram is a distribution of recorded values, of nanoseconds unless its name says otherwise. It is sparse: one for each second of
// a long run takes little memory.
type Histogram struct {
	*hdrhistogram.PackedHistogram
}

// The range of a histogram that [NewHistogram] makes: values are kept to a part in a thousand.
const (
	lowest  = 1
	highest = int64(3600e9) // an hour in ns; the last bucket reaches further
	digits  = 3
)

// Percentiles are those that every summary shows; 100 is the maximum.
var Percentiles = []float64{50, 90, 99, 99.9, 99.99, 100}

// percentileNames are the same as they are written.
var percentileNames = []string{"p50", "p90", "p99", "p99.9", "p99.99", "max"}

// NewHistogram makes an empty one.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.NewPacked(lowest, highest, digits)}
}

// CopyHistogram makes one of what a generator has recorded, with the same range and precision.
func CopyHistogram(h *hdrhistogram.Histogram) *Histogram {
	p := hdrhistogram.NewPacked(h.LowestTrackableValue(), h.HighestTrackableValue(), int(h.SignificantFigures()))
	p.MergeFrom(h)
	return &Histogram{p}
}

// Clone returns a copy.
func (h *Histogram) Clone() *Histogram { return &Histogram{h.PackedHistogram.Clone()} }

// Add adds the other's values.
func (h *Histogram) Add(other *Histogram) error {
	if n := h.Merge(other.PackedHistogram); n > 0 {
		return fmt.Errorf("%d values do not fit the histogram's range, up to %d", n, h.HighestTrackableValue())
	}
	return nil
}

// since returns what was recorded since an earlier copy of the same histogram; nil stands for an empty one.
func (h *Histogram) since(earlier *Histogram) *Histogram {
	if earlier == nil || earlier.TotalCount() == 0 {
		return h.Clone()
	}
	out := &Histogram{h.PackedHistogram.Clone()}
	out.Reset()
	before := make([][2]int64, 0, earlier.Populated())
	for value, count := range earlier.ForEachBucket {
		before = append(before, [2]int64{value, count})
	}
	for value, count := range h.ForEachBucket { // both are in order
		for len(before) > 0 && before[0][0] < value {
			before = before[1:]
		}
		if len(before) > 0 && before[0][0] == value {
			count -= before[0][1]
		}
		if count > 0 {
			_ = out.RecordValues(value, count) // it came from a bucket of the same histogram
		}
	}
	out.Compact()
	return out
}

// Values returns the values at Percentiles, in their order.
func (h *Histogram) Values() []int64 { return h.ValueAtPercentilesSlice(Percentiles) }

// histogramJSON is how a histogram is written. All but the last field are for people and jq; they are not read back.
type histogramJSON struct {
	Count int64            `json:"count"`
	Mean  float64          `json:"mean"`
	Min   int64            `json:"min"`
	At    map[string]int64 `json:"percentiles"`
	HDR   string           `json:"hdr"` // HdrHistogram's V2 encoding, compressed, in base 64
}

// MarshalJSON writes the percentiles and the whole histogram.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	encoded, err := h.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode a histogram: %w", err)
	}
	j := histogramJSON{Count: h.TotalCount(), HDR: string(encoded), At: make(map[string]int64, len(Percentiles))}
	if j.Count > 0 {
		j.Mean, j.Min = h.Mean(), h.Min()
	}
	for i, v := range h.Values() {
		j.At[percentileNames[i]] = v
	}
	return json.Marshal(j)
}

// maxEncoded bounds a histogram's encoding in a file, in bytes: a full one of the range of NewHistogram has less than half of it.
const maxEncoded = 1 << 20

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var j histogramJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	switch {
	case j.HDR == "":
		return errors.New("a histogram has no field hdr, the encoded histogram")
	case len(j.HDR) > maxEncoded:
		return fmt.Errorf("an encoded histogram has %d bytes: more than %d are not read", len(j.HDR), maxEncoded)
	}
	p, err := hdrhistogram.DecodePacked([]byte(j.HDR))
	if err != nil {
		return fmt.Errorf("decode a histogram: %w", err)
	}
	h.PackedHistogram = p
	return nil
}

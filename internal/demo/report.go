package demo

import (
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/internal/metrics"
)

// Report is what Run found. Durations are in nanoseconds in JSON.
type Report struct {
	Kind     Kind      `json:"kind"`
	Title    string    `json:"title"`
	Reason   string    `json:"reason,omitempty"`
	Device   string    `json:"device"` // driver, mode, how the XDP program is attached
	Ping     *Ping     `json:"ping,omitempty"`
	Requests *Requests `json:"requests,omitempty"`
	Conns    *Conns    `json:"connections,omitempty"`
	Upload   *Bulk     `json:"upload,omitempty"`   // from the client to the stack
	Download *Bulk     `json:"download,omitempty"` // from the stack to the client
	Frames   Frames    `json:"frames"`
	// Drops are the packets that went nowhere, by reason.
	Drops []metrics.Metric `json:"drops"`
	// HashRate is how fast this machine computes SHA-256 and does nothing else, in bytes per second.
	HashRate float64 `json:"sha256_bytes_per_second"`
}

// Frames counts the packets of the whole run at the stack.
type Frames struct {
	Received uint64 `json:"received"`
	Sent     uint64 `json:"sent"`
	Batches  uint64 `json:"batches"` // that received packets came in
}

// Ping is the outcome of the echo requests.
type Ping struct {
	Sent    int     `json:"sent"`
	Lost    int     `json:"lost"`
	Latency Latency `json:"rtt"`
}

// Requests is the outcome of HTTP requests on connections that are kept.
type Requests struct {
	Clients  int           `json:"clients"`
	Requests int64         `json:"requests"`
	Duration time.Duration `json:"duration"`
	Rate     float64       `json:"per_second"`
	Latency  Latency       `json:"latency"`
}

// Conns is the outcome of many connections at once.
type Conns struct {
	Open      int           `json:"open_at_once"` // as the stack counts them
	Opening   time.Duration `json:"opening"`      // from the first SYN to the last connection's establishment
	Connect   Latency       `json:"connect"`
	Echoes    int64         `json:"echoes"`
	EchoTime  time.Duration `json:"echo_time"`
	EchoRate  float64       `json:"echoes_per_second"`
	RoundTrip Latency       `json:"round_trip"`
}

// Bulk is the outcome of a transfer in one direction.
type Bulk struct {
	Bytes     int64         `json:"bytes"`
	Duration  time.Duration `json:"duration"`
	BitRate   float64       `json:"bits_per_second"` // of payload, each byte compared with what it must be
	Segments  uint64        `json:"segments"`        // packets that the stack received and sent
	Allocs    float64       `json:"allocations_per_segment"`
	HeapBytes float64       `json:"heap_bytes_per_segment"`
	// The same bytes once more, with SHA-256 computed by the receiver as they come.
	HashedBitRate float64 `json:"sha256_bits_per_second"`
	SHA256        string  `json:"sha256"` // the same at both ends
}

// Latency summarizes a distribution.
type Latency struct {
	Count int64         `json:"count"`
	Min   time.Duration `json:"min"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	P999  time.Duration `json:"p999"`
	Max   time.Duration `json:"max"`
}

// newHistogram makes a histogram of durations from 1 µs, or below, to a minute, with three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute), 3)
}

// record adds a duration; one beyond the range counts as its end.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), 1), int64(time.Minute))) // within the range: no error
}

func summarize(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return Latency{
		Count: h.TotalCount(), Min: time.Duration(h.Min()), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: time.Duration(h.Max()),
	}
}

// heap counts the process's allocations.
type heap struct{ objects, bytes uint64 }

func readHeap() heap {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return heap{objects: m.Mallocs, bytes: m.TotalAlloc}
}

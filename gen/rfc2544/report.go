package rfc2544

import (
	"time"
)

// Report is the result of Run: a row for each size.
type Report struct {
	Line       float64       `json:"line_bits_per_second"`
	Method     Method        `json:"search"`
	Trial      time.Duration `json:"trial_ns"`
	Wait       time.Duration `json:"wait_ns"`
	Settle     time.Duration `json:"settle_ns"`
	Width      float64       `json:"width"`
	Deviations []string      `json:"deviations_from_rfc2544"` // empty: it conforms
	Rows       []Row         `json:"rows"`
	Trials     int           `json:"trials"`
	Took       time.Duration `json:"took_ns"`
	Stopped    string        `json:"stopped,omitempty"` // why it ended early
}

// Row has what was measured with frames of one size. What was not done is nil.
type Row struct {
	Size       Size     `json:"size"`
	Skipped    string   `json:"skipped,omitempty"`                  // why nothing was measured
	Line       float64  `json:"line_frames_per_second"`             // the medium's theoretical rate
	Sender     float64  `json:"sender_frames_per_second,omitempty"` // what the sender reaches, if less than was to be tried
	Throughput []Rate   `json:"throughput,omitempty"`               // for each goal
	Latency    *Delay   `json:"latency,omitempty"`                  // at the throughput
	Loss       []Point  `json:"frame_loss,omitempty"`               // from the highest rate down
	Burst      *Bursts  `json:"back_to_back,omitempty"`             // the longest burst
	Failed     []string `json:"not_measured,omitempty"`             // the tests that could not be done, and why
}

// Rate is a throughput.
type Rate struct {
	Goal string `json:"goal"` // throughput, NDR or PDR
	// Rate is what got through, frames a second, at the load that was borne.
	Rate     float64 `json:"frames_per_second"`
	Lower    float64 `json:"lower_bound"` // the highest load that was borne, as it was sent; 0: none
	Upper    float64 `json:"upper_bound"` // the lowest load that was not; 0: none
	Loss     float64 `json:"loss_ratio"`  // that the goal allows
	Bits     float64 `json:"bits_per_second"`
	Share    float64 `json:"share_of_line"`
	Regular  bool    `json:"regular"` // the bounds are as close as asked for
	Note     string  `json:"note,omitempty"`
	Inverted int     `json:"inverted_loads,omitempty"` // loads above Upper that were borne
}

// Delay is the latency at a rate, of all trials together, in ns. RFC 2544 tags one frame of a trial; here every frame is one.
type Delay struct {
	Rate   float64 `json:"frames_per_second"`
	Trials int     `json:"trials"`
	Frames int64   `json:"frames"`
	Lost   uint64  `json:"lost"`
	Mean   float64 `json:"mean_ns"` // the average of the trials' means, which is the RFC's value
	Min    int64   `json:"min_ns"`
	P50    int64   `json:"p50_ns"`
	P99    int64   `json:"p99_ns"`
	P999   int64   `json:"p99_9_ns"`
	Max    int64   `json:"max_ns"`
}

// Point is the frame loss at a rate.
type Point struct {
	Share    float64 `json:"share_of_highest"`   // of the highest rate that was tried
	Rate     float64 `json:"frames_per_second"`  // that was asked for
	Offered  float64 `json:"offered_per_second"` // that was sent
	Sent     uint64  `json:"sent"`
	Received uint64  `json:"received"`
	Loss     float64 `json:"loss_ratio"`
	Short    bool    `json:"sender_fell_short,omitempty"`
}

// Bursts is the back-to-back benchmark: the longest burst without loss, in frames, of several searches.
type Bursts struct {
	Searches  int     `json:"searches"`
	Mean      float64 `json:"mean_frames"`
	Min       uint64  `json:"min_frames"`
	Max       uint64  `json:"max_frames"`
	Deviation float64 `json:"standard_deviation"`
	Offered   float64 `json:"offered_per_second"` // the rate within bursts
	Unlimited bool    `json:"unlimited"`          // the longest burst that is tried got through
	// Implied and Corrected are the time that the device's buffer holds, RFC 9004 section 6.4: of the whole burst, and of the part that
	// was not forwarded meanwhile; the latter needs the throughput.
	Implied   time.Duration `json:"implied_buffer_ns"`
	Corrected time.Duration `json:"corrected_buffer_ns,omitempty"`
	Note      string        `json:"note,omitempty"`
}

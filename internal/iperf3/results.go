package iperf3

import "encoding/json"

// Results are what each end tells the other after a test.
type Results struct {
	CPUTotal     float64         `json:"cpu_util_total"`
	CPUUser      float64         `json:"cpu_util_user"`
	CPUSystem    float64         `json:"cpu_util_system"`
	HasRetrans   Number          `json:"sender_has_retransmits"` // 1: the counts of senders are known; -1: this end sends nothing
	Congestion   string          `json:"congestion_used,omitempty"`
	ServerText   string          `json:"server_output_text,omitempty"`
	ServerOutput json.RawMessage `json:"server_output_json,omitempty"`
	Streams      []StreamResult  `json:"streams"`
}

// StreamResult is one stream seen from one end.
type StreamResult struct {
	ID          Number  `json:"id"`
	Bytes       Number  `json:"bytes"`
	Retransmits Number  `json:"retransmits"` // -1: not known, as at a receiver
	Jitter      float64 `json:"jitter"`
	Errors      Number  `json:"errors"`
	Packets     Number  `json:"packets"`
	Start       float64 `json:"start_time"` // seconds
	End         float64 `json:"end_time"`   // seconds
}

// streamID is the number that iperf3 gives its n-th stream: 1, 3, 4, 5 …
func streamID(n int) int {
	if n == 0 {
		return 1
	}
	return n + 2
}

// stream finds the result about one stream.
func (r *Results) stream(id int) (StreamResult, bool) {
	for _, s := range r.Streams {
		if int(s.ID) == id {
			return s, true
		}
	}
	return StreamResult{}, false
}

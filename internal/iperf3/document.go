package iperf3

import "encoding/json"

// Document is a test as iperf3 -J writes it; the text is made from the same.
type Document struct {
	Title        string          `json:"title,omitempty"`
	ExtraData    string          `json:"extra_data,omitempty"`
	Start        Start           `json:"start"`
	Intervals    []Interval      `json:"intervals"`
	End          End             `json:"end"`
	ServerText   string          `json:"server_output_text,omitempty"`
	ServerOutput json.RawMessage `json:"server_output_json,omitempty"`
	Error        string          `json:"error,omitempty"`
}

// Start is what is known when the test begins.
type Start struct {
	Connected          []Connected `json:"connected"`
	Version            string      `json:"version"`
	SystemInfo         string      `json:"system_info"`
	Timestamp          *Timestamp  `json:"timestamp,omitempty"`
	AcceptedConnection *HostPort   `json:"accepted_connection,omitempty"`
	ConnectingTo       *HostPort   `json:"connecting_to,omitempty"`
	Cookie             string      `json:"cookie,omitempty"`
	TCPMSSDefault      int         `json:"tcp_mss_default,omitempty"` // bytes
	TargetBitrate      int64       `json:"target_bitrate"`            // bits/s
	FQRate             int64       `json:"fq_rate"`                   // bits/s
	SockBufSize        int         `json:"sock_bufsize"`              // bytes, of -w
	SndBufActual       int         `json:"sndbuf_actual"`             // bytes
	RcvBufActual       int         `json:"rcvbuf_actual"`             // bytes
	TestStart          *TestParams `json:"test_start,omitempty"`
}

// Connected is a stream.
type Connected struct {
	Socket     int    `json:"socket"`
	LocalHost  string `json:"local_host"`
	LocalPort  int    `json:"local_port"`
	RemoteHost string `json:"remote_host"`
	RemotePort int    `json:"remote_port"`
}

// Timestamp is when the test began.
type Timestamp struct {
	Time string `json:"time"`
	Secs int64  `json:"timesecs"`
}

// HostPort is the other end of the control connection.
type HostPort struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// TestParams are the parameters of the test.
type TestParams struct {
	Protocol      string `json:"protocol"`
	Streams       int    `json:"num_streams"`
	BlockSize     int    `json:"blksize"`
	Omit          int    `json:"omit"`
	Duration      int    `json:"duration"`
	Bytes         int64  `json:"bytes"`
	Blocks        int64  `json:"blocks"`
	Reverse       int    `json:"reverse"`
	TOS           int    `json:"tos"`
	TargetBitrate int64  `json:"target_bitrate"`
	Bidir         int    `json:"bidir"`
	FQRate        int64  `json:"fqrate"`
}

// Interval is what happened between two reports.
type Interval struct {
	Streams    []Piece `json:"streams"`
	Sum        *Piece  `json:"sum,omitempty"`
	SumReverse *Piece  `json:"sum_bidir_reverse,omitempty"` // bidirectional tests: of the server's streams
}

// Piece is one stream, or the sum of several, during one interval.
type Piece struct {
	Socket        int     `json:"socket,omitempty"`
	Start         float64 `json:"start"`   // seconds since the beginning
	End           float64 `json:"end"`     // seconds since the beginning
	Seconds       float64 `json:"seconds"` // its length
	Bytes         int64   `json:"bytes"`
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   *int64  `json:"retransmits,omitempty"` // of senders
	*Path                 // of senders, not of sums
	Omitted       bool    `json:"omitted"`
	Sender        bool    `json:"sender"`
}

// Path is what a sender knows about its connection.
type Path struct {
	SndCwnd int64 `json:"snd_cwnd"` // bytes
	SndWnd  int64 `json:"snd_wnd"`  // bytes
	RTT     int64 `json:"rtt"`      // µs
	RTTVar  int64 `json:"rttvar"`   // µs
	PMTU    int64 `json:"pmtu"`     // bytes
}

// End is the summary.
type End struct {
	Streams              []StreamEnd `json:"streams,omitempty"`
	SumSent              *Total      `json:"sum_sent,omitempty"`
	SumReceived          *Total      `json:"sum_received,omitempty"`
	SumSentReverse       *Total      `json:"sum_sent_bidir_reverse,omitempty"`
	SumReceivedReverse   *Total      `json:"sum_received_bidir_reverse,omitempty"`
	CPU                  *CPU        `json:"cpu_utilization_percent,omitempty"`
	SenderCongestion     string      `json:"sender_tcp_congestion,omitempty"`
	ReceiverCongestion   string      `json:"receiver_tcp_congestion,omitempty"`
	remoteKnown, reverse bool
}

// StreamEnd is one stream from both ends.
type StreamEnd struct {
	Sender   Total `json:"sender"`
	Receiver Total `json:"receiver"`
}

// Total is one end of a stream, or the sum of several, over the whole test.
type Total struct {
	Socket        int     `json:"socket,omitempty"`
	Start         float64 `json:"start"`
	End           float64 `json:"end"`
	Seconds       float64 `json:"seconds"`
	Bytes         int64   `json:"bytes"`
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   *int64  `json:"retransmits,omitempty"`
	*PathRange
	Sender bool `json:"sender"` // whether this host is the sender
}

// PathRange is what the sender's connection was like over the whole test.
type PathRange struct {
	MaxSndCwnd int64 `json:"max_snd_cwnd"` // bytes
	MaxSndWnd  int64 `json:"max_snd_wnd"`  // bytes
	MaxRTT     int64 `json:"max_rtt"`      // µs
	MinRTT     int64 `json:"min_rtt"`      // µs
	MeanRTT    int64 `json:"mean_rtt"`     // µs
}

// CPU is the processor time of the processes at both ends, in percent of the time that passed.
type CPU struct {
	HostTotal    float64 `json:"host_total"`
	HostUser     float64 `json:"host_user"`
	HostSystem   float64 `json:"host_system"`
	RemoteTotal  float64 `json:"remote_total"`
	RemoteUser   float64 `json:"remote_user"`
	RemoteSystem float64 `json:"remote_system"`
}

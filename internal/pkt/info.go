package pkt

import (
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// linuxStates are Linux's numbers of the states.
var linuxStates = map[tcp.State]int64{
	tcp.StateEstablished: 1, tcp.StateSynSent: 2, tcp.StateSynReceived: 3, tcp.StateFinWait1: 4, tcp.StateFinWait2: 5,
	tcp.StateTimeWait: 6, tcp.StateClosed: 7, tcp.StateCloseWait: 8, tcp.StateLastAck: 9, tcp.StateListen: 10, tcp.StateClosing: 11,
}

// constants are the names besides tcpi_… that an assertion can use.
var constants = map[string]int64{
	"True": 1, "False": 0,
	"TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5, "TCP_TIME_WAIT": 6,
	"TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
	"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
	"TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8,
}

// tcpInfo returns what Linux's tcp_info would say, by the names of its fields: times in microseconds, windows in segments.
func tcpInfo(i tcp.Info) map[string]int64 {
	mss := max(int64(i.SendMSS), 1)
	segments := func(bytes int64) int64 { return (bytes + mss - 1) / mss }
	options := int64(0)
	if i.Timestamps {
		options |= constants["TCPI_OPT_TIMESTAMPS"]
	}
	if i.SACK {
		options |= constants["TCPI_OPT_SACK"]
	}
	if i.SendScale != 0 || i.RecvScale != 0 {
		options |= constants["TCPI_OPT_WSCALE"]
	}
	us := func(d time.Duration) int64 { return d.Microseconds() }
	return map[string]int64{
		"tcpi_state":         linuxStates[i.State],
		"tcpi_ca_state":      map[string]int64{"open": 0, "recovery": 3, "loss": 4}[i.Recovery],
		"tcpi_retransmits":   int64(i.Retries),
		"tcpi_options":       options,
		"tcpi_snd_wscale":    int64(i.SendScale),
		"tcpi_rcv_wscale":    int64(i.RecvScale),
		"tcpi_rto":           us(i.RTO),
		"tcpi_rtt":           us(i.RTT),
		"tcpi_rttvar":        us(i.RTTVar),
		"tcpi_min_rtt":       us(i.MinRTT),
		"tcpi_snd_mss":       int64(i.SendMSS),
		"tcpi_rcv_mss":       int64(i.RecvMSS),
		"tcpi_unacked":       segments(int64(i.Unacked)),
		"tcpi_snd_cwnd":      int64(i.CWnd) / mss,
		"tcpi_snd_ssthresh":  int64(i.SSThresh) / mss,
		"tcpi_snd_wnd":       int64(i.SendWindow),
		"tcpi_rcv_wnd":       int64(i.RecvWindow),
		"tcpi_notsent_bytes": int64(i.Unsent),
	}
}

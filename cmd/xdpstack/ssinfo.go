package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/xdpstack/xdpstack/internal/ss"
)

// ssInfo is what TCP knows of a connection, in the words and the order of ss -i, for those who have scripts that read them.
func ssInfo(i *ss.Info) (words []string) {
	say := func(on bool, format string, args ...any) {
		if on {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	for _, o := range []string{"ts", "sack", "ecn", "fastopen"} {
		say(slices.Contains(i.Options, o), "%s", o)
	}
	say(true, "%s", i.Congestion)
	say(slices.Contains(i.Options, "wscale"), "wscale:%d,%d", i.SndWScale, i.RcvWScale)
	say(true, "rto:%s", ssMilli(i.RTO))
	say(i.Backoff > 0, "backoff:%d", i.Backoff)
	say(i.RTT > 0, "rtt:%s/%s", ssMilli(i.RTT), ssMilli(i.RTTVar))
	say(i.ATO > 0, "ato:%s", ssMilli(i.ATO))
	say(true, "mss:%d pmtu:%d rcvmss:%d advmss:%d cwnd:%d", i.MSS, i.PMTU, i.RcvMSS, i.AdvMSS, i.CWnd)
	say(i.SSThresh > 0, "ssthresh:%d", i.SSThresh)
	say(i.BytesSent > 0, "bytes_sent:%d", i.BytesSent)
	say(i.BytesRetrans > 0, "bytes_retrans:%d", i.BytesRetrans)
	say(i.BytesAcked > 0, "bytes_acked:%d", i.BytesAcked)
	say(i.BytesReceived > 0, "bytes_received:%d", i.BytesReceived)
	say(true, "segs_out:%d segs_in:%d", i.SegsOut, i.SegsIn)
	say(i.DataSegsOut > 0, "data_segs_out:%d", i.DataSegsOut)
	if i.RTT > 0 {
		say(true, "send %s", ssRate(float64(i.CWnd)*float64(i.MSS)*1e6/float64(i.RTT)))
	}
	say(i.LastSnd > 0, "lastsnd:%d", i.LastSnd)
	say(i.LastRcv > 0, "lastrcv:%d", i.LastRcv)
	say(i.LastAck > 0, "lastack:%d", i.LastAck)
	say(i.PacingRate > 0, "pacing_rate %s", ssRate(float64(i.PacingRate)))
	say(i.MaxPacing > 0, "max_pacing_rate %s", ssRate(float64(i.MaxPacing)))
	say(i.DeliveryRate > 0, "delivery_rate %s", ssRate(float64(i.DeliveryRate)))
	say(i.Delivered > 0, "delivered:%d", i.Delivered)
	say(i.AppLimited, "app_limited")
	say(i.Unacked > 0, "unacked:%d", i.Unacked)
	say(i.Retrans > 0 || i.RetransTotal > 0, "retrans:%d/%d", i.Retrans, i.RetransTotal)
	say(i.Lost > 0, "lost:%d", i.Lost)
	say(i.Sacked > 0, "sacked:%d", i.Sacked)
	say(i.DsackDups > 0, "dsack_dups:%d", i.DsackDups)
	say(i.Reordering != 3, "reordering:%d", i.Reordering)
	say(i.ReordSeen > 0, "reord_seen:%d", i.ReordSeen)
	say(i.RcvSpace > 0, "rcv_space:%d", i.RcvSpace)
	say(i.RcvSsthresh > 0, "rcv_ssthresh:%d", i.RcvSsthresh)
	say(i.NotSent > 0, "notsent:%d", i.NotSent)
	say(i.MinRTT > 0, "minrtt:%s", ssMilli(i.MinRTT))
	say(i.RcvOoopack > 0, "rcv_ooopack:%d", i.RcvOoopack)
	say(true, "snd_wnd:%d rcv_wnd:%d", i.SndWnd, i.RcvWnd)
	say(i.CAState != "open", "ca_state:%s", i.CAState)
	say(i.Timeouts > 0, "timeouts:%d", i.Timeouts)
	return words
}

// ssMilli shows microseconds as milliseconds.
func ssMilli(us uint32) string { return strconv.FormatFloat(float64(us)/1000, 'f', -1, 64) }

// ssRate shows bytes per second as bits per second, with a unit.
func ssRate(bytes float64) string {
	bits := 8 * bytes
	for _, u := range []struct {
		from float64
		unit string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if bits >= u.from {
			return strconv.FormatFloat(bits/u.from, 'f', 1, 64) + u.unit + "bps"
		}
	}
	return strconv.FormatFloat(bits, 'f', 0, 64) + "bps"
}

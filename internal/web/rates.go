package web

import (
	"cmp"
	"slices"
	"time"

	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// Rates are what happened between two looks at a process, per second.
type Rates struct {
	Seconds float64 `json:"seconds"` // between the two

	Accepted   float64 `json:"accepted"` // connections of peers
	Opened     float64 `json:"opened"`   // connections of this side
	Packets    Flow    `json:"packets"`
	Bits       Flow    `json:"bits"`        // Ethernet headers included
	Resent     float64 `json:"resent"`      // TCP segments sent again
	ResentPart float64 `json:"resent_part"` // of all TCP segments sent
	Batch      float64 `json:"batch"`       // packets in one, on average
	CPU        float64 `json:"cpu"`         // CPUs that the process used

	Answered float64 `json:"answered"` // SYNs that the shield answered
	Returned float64 `json:"returned"` // cookies that came back to it
	Refused  float64 `json:"refused"`  // packets that the shield dropped
	Filtered float64 `json:"filtered"` // packets that the filter dropped
	Relayed  float64 `json:"relayed"`  // packets to and from the process before or after, in an upgrade

	Queues []QueueRates `json:"queues"`
	Drops  []DropRate   `json:"drops"` // the most frequent first
}

// Flow is what came in and went out.
type Flow struct {
	In  float64 `json:"in"`
	Out float64 `json:"out"`
}

// QueueRates are those of one queue.
type QueueRates struct {
	Queue       int                  `json:"queue"`
	Mode        string               `json:"mode"`
	Connections int                  `json:"connections"`
	Packets     Flow                 `json:"packets"`
	Bits        Flow                 `json:"bits"`
	Batch       float64              `json:"batch"`
	Turns       float64              `json:"turns"`
	Sleeps      float64              `json:"sleeps"`
	Lost        float64              `json:"lost"`
	CPU         *float64             `json:"cpu,omitempty"` // CPUs that the shard's thread used, if it has one of its own
	Frames      snapshot.QueueFrames `json:"frames"`
}

// DropRate is a reason for drops.
type DropRate struct {
	Drop
	Rate float64 `json:"rate"`
}

// RatesOf returns what happened between two looks. It reports false if they are of two processes, or of the same moment.
func RatesOf(before, now *Live) (r Rates, ok bool) {
	over := now.Time.Sub(before.Time)
	if before.PID != now.PID || !before.Started.Equal(now.Started) || over < time.Millisecond {
		return r, false
	}
	per := perSecond(over.Seconds())
	value := func(name string) float64 { return per.growth(before.Values[name], now.Values[name]) }
	r = Rates{
		Seconds:  over.Seconds(),
		Accepted: value("tcp_listen_accepted"), Opened: value("tcp_active_opens"),
		Packets: Flow{value("rx_frames"), value("tx_frames")},
		Bits:    Flow{8 * value("rx_bytes"), 8 * value("tx_bytes")},
		Resent:  value("tcp_retransmits"), ResentPart: ratio(value("tcp_retransmits"), value("tcp_segments_out")),
		Batch:    ratio(value("rx_frames"), value("rx_batches")),
		Answered: value("steer_answered_syn_cookie"), Returned: value("steer_redirected_cookie"),
		Refused:  value("steer_dropped_bad_syn") + value("steer_dropped_bad_cookie") + value("steer_dropped_no_flow"),
		Filtered: value("steer_dropped_denied") + value("steer_dropped_source_syn_rate") + value("steer_dropped_source_rate"),
		Relayed:  value("relay_to_old") + value("relay_sent") + value("relay_from_new") + value("relay_to_new"),
		CPU:      (now.CPU - before.CPU) / over.Seconds(),
	}
	for i := range now.Queues {
		if i < len(before.Queues) {
			r.Queues = append(r.Queues, queueRates(&before.Queues[i], &now.Queues[i], per))
		}
	}
	earlier := make(map[string]uint64, len(before.Drops))
	for _, d := range before.Drops {
		earlier[d.Name] = d.Value
	}
	for _, d := range now.Drops {
		r.Drops = append(r.Drops, DropRate{Drop: d, Rate: per.growth(earlier[d.Name], d.Value)})
	}
	slices.SortStableFunc(r.Drops, func(a, b DropRate) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Value, a.Value))
	})
	return r, true
}

func queueRates(before, now *snapshot.Queue, per perSecond) QueueRates {
	b, n := &before.QueueCounters, &now.QueueCounters
	q := QueueRates{
		Queue: now.Number, Mode: now.Mode, Connections: now.Connections, Frames: now.Frames,
		Packets: Flow{per.growth(b.Received, n.Received), per.growth(b.Sent, n.Sent)},
		Bits:    Flow{8 * per.growth(b.ReceivedBytes, n.ReceivedBytes), 8 * per.growth(b.SentBytes, n.SentBytes)},
		Batch:   ratio(per.growth(b.Received, n.Received), per.growth(b.Batches, n.Batches)),
		Turns:   per.growth(b.Turns, n.Turns), Sleeps: per.growth(b.Sleeps, n.Sleeps), Lost: per.growth(b.Lost, n.Lost),
	}
	if now.CPU >= 0 {
		cpu := per.growth(b.CPUTime, n.CPUTime) / 1e9
		q.CPU = &cpu
	}
	return q
}

// perSecond is a time in seconds.
type perSecond float64

// growth returns what was added in a second, 0 for a counter that fell.
func (p perSecond) growth(before, now uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / float64(p)
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

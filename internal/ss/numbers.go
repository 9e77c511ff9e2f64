package ss

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/stack"
)

// number is something of a connection that can be compared and sorted by.
type number struct {
	name, help string
	time       bool // a duration
	of         func(*stack.ConnInfo) int64
}

// numbers have the names that ss shows them under.
var numbers = []number{
	{"recv-q", "bytes that the application has not read", false, func(c *stack.ConnInfo) int64 { return int64(c.RecvQueue) }},
	{"send-q", "bytes that are not acknowledged", false, func(c *stack.ConnInfo) int64 { return int64(c.SendQueue) }},
	{"bytes-acked", "bytes that the peer has acknowledged", false, func(c *stack.ConnInfo) int64 { return int64(c.Info.BytesAcked) }},
	{"bytes-received", "bytes that came", false, func(c *stack.ConnInfo) int64 { return int64(c.Info.BytesReceived) }},
	{"retrans", "segments sent again", false, func(c *stack.ConnInfo) int64 { return int64(c.Info.Resent) }},
	{"timeouts", "expiries of the retransmission timer", false, func(c *stack.ConnInfo) int64 { return int64(c.Info.Timeouts) }},
	{"rtt", "smoothed round-trip time", true, func(c *stack.ConnInfo) int64 { return int64(c.Info.RTT) }},
	{"rto", "retransmission timeout", true, func(c *stack.ConnInfo) int64 { return int64(c.Info.RTO) }},
	{"cwnd", "congestion window, segments", false, func(c *stack.ConnInfo) int64 {
		return int64(c.Info.CWnd / max(uint32(c.Info.SendMSS), 1))
	}},
	{"in-flight", "bytes in flight", false, func(c *stack.ConnInfo) int64 { return int64(c.Info.InFlight) }},
	{"delivery-rate", "bytes per second that the path bore", false, func(c *stack.ConnInfo) int64 { return int64(c.Info.DeliveryRate) }},
	{"pacing-rate", "bytes per second that may be sent", false, func(c *stack.ConnInfo) int64 { return int64(c.Info.PacingRate) }},
	{"out-of-order", "frames that came out of order", false, func(c *stack.ConnInfo) int64 { return int64(c.OrderFrames) }},
	{"half-open", "half-open connections of a listener", false, func(c *stack.ConnInfo) int64 { return int64(c.HalfOpen) }},
	{"shard", "number of the shard", false, func(c *stack.ConnInfo) int64 { return int64(c.Shard) }},
}

func findNumber(name string) *number {
	for i := range numbers {
		if strings.EqualFold(numbers[i].name, name) {
			return &numbers[i]
		}
	}
	return nil
}

// Numbers returns the names of what can be compared and sorted by, each with a tab and its meaning.
func Numbers() (names []string) {
	for _, n := range numbers {
		names = append(names, n.name+"\t"+n.help)
	}
	return names
}

// parse reads a value: a duration such as 10ms, in milliseconds if it has no unit, or a count such as 100 or 64k.
func (n *number) parse(s string) (int64, error) {
	if n.time {
		if ms, err := strconv.ParseFloat(s, 64); err == nil && ms >= 0 && ms < 1e9 {
			return int64(ms * float64(time.Millisecond)), nil
		}
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("want a duration such as 10ms, or milliseconds")
		}
		return int64(d), nil
	}
	scale := int64(1)
	digits := s
	if i := len(s) - 1; i > 0 {
		if k := strings.IndexByte("kmg", s[i]|0x20); k >= 0 {
			scale, digits = []int64{1e3, 1e6, 1e9}[k], s[:i]
		}
	}
	v, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(v) > (1<<63-1)/scale {
		return 0, fmt.Errorf("want a whole number such as 100 or 64k")
	}
	return int64(v) * scale, nil
}

// format is what parse reads.
func (n *number) format(v int64) string {
	if n.time {
		return strings.Replace(time.Duration(v).String(), "µ", "u", 1)
	}
	return strconv.FormatInt(v, 10)
}

package engine

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// stamps are the times that the driver tells of sent packets, of the first of a batch now and then.
type stamps struct {
	every    int // one packet in so many; 0: none
	since    int // packets since the last one that was asked for
	number   uint32
	wanted   [stampsKept]clock.Time // by the schedule, of the numbers
	previous afxdp.TxStamp
	known    bool // previous is one
	taken    [64]afxdp.TxStamp
	distance *hdrhistogram.Histogram // ns, by how much the distance of two was not that of the schedule
}

// stampsKept is how many packets whose times are asked for may be under way; a power of two.
const stampsKept = 4096

// askStamp asks for the time of the first of some packets, if it is its turn.
func (w *worker) askStamp(d *frame.Desc, packets int, wanted clock.Time) {
	s := &w.stamps
	if s.every == 0 || wanted == 0 {
		return
	}
	if s.since += packets; s.since < s.every {
		return
	}
	s.since = 0
	d.Ask = frame.AskStamp
	w.pool.Meta(d.Frame).Seq = s.number
	s.wanted[s.number%stampsKept] = wanted
	s.number++
}

// takeStamps compares the distances of the times that came with those of the schedule.
func (w *worker) takeStamps() {
	s := &w.stamps
	if s.every == 0 {
		return
	}
	for _, t := range s.taken[:w.queue.TxStamps(s.taken[:])] {
		if s.known && t.Seq == s.previous.Seq+1 {
			was := time.Duration(t.At - s.previous.At)
			wanted := s.wanted[t.Seq%stampsKept].Sub(s.wanted[s.previous.Seq%stampsKept])
			_ = s.distance.RecordValue(min(max(int64((was-wanted).Abs()), 1), longestLate)) // within its bounds
		}
		s.previous, s.known = t, true
	}
}

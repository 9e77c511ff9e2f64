package rfc2544

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// simDevice is a device that forwards so many frames a second out of a buffer, on a medium of 1 Gbit/s.
type simDevice struct {
	capacity float64 // frames a second; 0: none
	buffer   float64 // frames that wait for their turn
	sender   float64 // frames a second that the sender manages at most; 0: any
	every    uint64  // one in so many is lost anyway; 0: none
	mtu      int     // default 1500
	stop     int     // the trial, from 1, that fails; 0: none
	noTimes  bool    // latency is not measured
	stalls   int     // one trial in so many in which the sender does nothing for a part of the time; 0: none
	stall    float64 // that part; default a third

	trials int
	total  time.Duration
}

var errSim = errors.New("the device is broken")

func (d *simDevice) Line() float64 { return 1e9 }

func (d *simDevice) Check(s Size) error {
	mtu := d.mtu
	if mtu == 0 {
		mtu = 1500
	}
	if s.Longest()-18 > mtu {
		return fmt.Errorf("frames of %d bytes take an MTU of %d, and there it is %d", s.Longest(), s.Longest()-18, mtu)
	}
	return nil
}

func (d *simDevice) Trial(ctx context.Context, t Trial) (o Outcome, err error) {
	if d.trials++; d.trials == d.stop {
		return o, errSim
	}
	if err := ctx.Err(); err != nil {
		return o, err
	}
	rate := t.Rate
	if t.Burst > 0 {
		rate = t.Size.Line(d.Line())
	}
	if d.sender > 0 {
		rate = min(rate, d.sender)
	}
	if o.Sent = t.Burst; t.Burst == 0 {
		o.Sent = uint64(math.Round(rate * t.Duration.Seconds()))
	}
	if d.stalls > 0 && d.trials%d.stalls == 0 {
		part := d.stall
		or(&part, 1.0/3)
		o.Sent = uint64(float64(o.Sent) * (1 - part))
	}
	seconds := float64(o.Sent) / rate
	o.Sending = time.Duration(seconds * float64(time.Second))
	o.Received = o.Sent
	if d.capacity < rate {
		o.Received = min(o.Sent, uint64(d.capacity*seconds+d.buffer+0.5))
	}
	if d.capacity == 0 {
		o.Received = 0
	}
	if d.every > 0 {
		o.Received -= o.Received / d.every
	}
	if !d.noTimes {
		o.Latency = hdrhistogram.New(1, int64(time.Minute), 3)
		_ = o.Latency.RecordValues(20_000, int64(o.Received)) // within the range
	}
	o.Took = max(t.Duration, o.Sending) + t.Wait + t.Settle
	d.total += o.Took
	return o, nil
}

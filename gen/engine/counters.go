package engine

import (
	"time"

	"github.com/xdpstack/xdpstack/gen/rate"
)

// Counters are what a worker, or all of them, did.
type Counters struct {
	Packets    uint64 `help:"packets given to the kernel"`
	Bytes      uint64 `help:"their bytes, without FCS"`
	Dropped    uint64 `help:"packets of these that the device dropped because it was full"`
	Unfinished uint64 `help:"packets of these that the device had not reported as sent when the run was over"`
	Malformed  uint64 `help:"packets that could not be given to the kernel: too short, or not within their frame"`
	Lost       uint64 `help:"packets taken off the schedule because they could not leave in time"`
	RingFull   uint64 `help:"turns in which packets were due and the TX ring was full"`
	NoFrame    uint64 `help:"turns in which packets were due and no frame was free"`
	LinkDown   uint64 `help:"turns in which packets were due and the link was down"`
	NoMemory   uint64 `help:"times that the kernel had no memory to send"`
	Kicks      uint64 `help:"system calls that had packets sent"`
	Sleeps     uint64 `help:"times that a worker slept"`
	StampsLost uint64 `help:"times of sent packets that the driver did not tell"`
	Received   uint64 `help:"packets received"`
}

// Left returns how many packets left the device, as far as that is known.
func (c *Counters) Left() uint64 { return c.Packets - min(c.Packets, c.Dropped+c.Unfinished) }

// Bits returns how many bits the packets are on a layer, rate.L1 or rate.L2.
func (c *Counters) Bits(layer rate.Unit) float64 {
	packet, perByte := layer.Costs()
	return packet*float64(c.Packets) + perByte*float64(c.Bytes)
}

// fields are all counters.
func (c *Counters) fields() [14]*uint64 {
	return [...]*uint64{
		&c.Packets, &c.Bytes, &c.Dropped, &c.Unfinished, &c.Malformed, &c.Lost, &c.RingFull, &c.NoFrame, &c.LinkDown, &c.NoMemory,
		&c.Kicks, &c.Sleeps, &c.StampsLost, &c.Received,
	}
}

// Add adds others to the counters.
func (c *Counters) Add(o Counters) {
	for i, f := range c.fields() {
		*f += *o.fields()[i]
	}
}

// Since returns what was added since they were like o.
func (c Counters) Since(o Counters) Counters {
	for i, f := range c.fields() {
		*f -= *o.fields()[i]
	}
	return c
}

// Totals are counters over a time.
type Totals struct {
	Counters
	Elapsed time.Duration // since the warm-up's end
}

// PPS returns how many packets a second were given to the kernel.
func (t *Totals) PPS() float64 { return perSecond(float64(t.Packets), t.Elapsed) }

// BPS returns how many bits a second they were on a layer.
func (t *Totals) BPS(layer rate.Unit) float64 { return perSecond(t.Bits(layer), t.Elapsed) }

func perSecond(n float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return n / d.Seconds()
}

package engine

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Source writes packets for one worker, as *gen.Program does.
type Source interface {
	Next(b []byte, now uint64) int // writes a packet, and returns its length without FCS; now is CLOCK_TAI in ns
	MaxLen() int                   // of a packet in bytes, without FCS
	MeanLen() float64
}

// Writer is a Source that can write many packets at a time, and knows again the frames that hold its packets from before.
type Writer interface {
	Source
	// Write writes the next packets into frames of the pool, at the offset in each descriptor, and sets the lengths. It returns their sum.
	Write(pool *frame.Pool, frames []frame.Desc, now uint64) (bytes int)
}

// Timed is a Source whose packets have times of their own, which are the schedule then.
type Timed interface {
	Source
	rate.Timeline
}

// Receiver sees what a worker receives. It runs on the worker, which must not wait for it. The frames are not its own, and the batch only
// until it returns; a packet that is larger than a frame has several descriptors.
type Receiver interface {
	Received(batch []frame.Desc, pool *frame.Pool, now uint64) // now is CLOCK_TAI in ns, when the batch was taken
}

// Config says what is sent, through what and how fast. The zero value of each field means its default.
type Config struct {
	Queues    []afxdp.Queue // one for each worker; the engine has them until Run returns
	Sources   []Source      // the same number
	Receivers []Receiver    // the same number, or none: what comes is not looked at
	Rate      rate.Config   // of all workers together; what is about workers and mean lengths is filled in

	// Spin is how long before a departure a worker stops sleeping and looks at the clock all the time. A sleep ends some 10 to 60 µs
	// late, or more on a busy machine, so with less the packets are late by that; with more a CPU is busy even at low rates: at one packet
	// each millisecond 50 µs are 5 % of it, at 20,000 a second and more they are all of it. Below 0: it never spins, and at high rates
	// sends what has become due while it slept. Default 50 µs.
	Spin time.Duration
	CPUs []int // that the workers are bound to, one for each; default none
	// Batch is how many packets are handed over at a time, at most. Default 64; 256 where nothing but rate.Max is asked for: a frame then
	// costs a tenth less in copy mode, and no packet has a time that it could be late for.
	Batch int
	// StampEvery asks the driver when it sends one packet in so many; 0: of none. The queues must have been opened with TxStamps.
	StampEvery int
	Drain      time.Duration // how long to wait at the end for what the device still has; default 1 s
	Linger     time.Duration // how long to go on receiving after that; default not at all
	StartAt    clock.Time    // when the schedule begins; default as soon as all workers are ready
}

// ErrConfig is in every error about a configuration that cannot be.
var ErrConfig = errors.New("unusable configuration of the generator")

const (
	defaultSpin  = 50 * time.Microsecond
	defaultBatch = 64
	longBatch    = 256
	defaultDrain = time.Second
)

// check finds what cannot work, and sets the defaults.
func (c *Config) check() error {
	n := len(c.Queues)
	if n == 0 || len(c.Sources) != n || len(c.Receivers) != 0 && len(c.Receivers) != n || len(c.CPUs) != 0 && len(c.CPUs) != n {
		return fmt.Errorf("%w: %d queues, %d sources, %d receivers and %d CPUs, want one for each", ErrConfig, n, len(c.Sources),
			len(c.Receivers), len(c.CPUs))
	}
	for i, q := range c.Queues {
		if err := c.checkQueue(q, c.Sources[i]); err != nil {
			return err
		}
	}
	if c.Batch < 0 || c.StampEvery < 0 || c.Drain < 0 || c.Linger < 0 {
		return fmt.Errorf("%w: a negative batch, number or time", ErrConfig)
	}
	for _, cpu := range c.CPUs {
		if cpu < 0 || cpu >= 1024 {
			return fmt.Errorf("%w: there is no CPU %d: there are %d, from 0", ErrConfig, cpu, runtime.NumCPU())
		}
	}
	if c.Spin == 0 {
		c.Spin = defaultSpin
	}
	if c.Batch == 0 {
		c.Batch = longBatch
		for _, p := range c.Rate.Phases {
			if p.From.Unit != rate.Unlimited {
				c.Batch = defaultBatch
			}
		}
	}
	if c.Drain == 0 {
		c.Drain = defaultDrain
	}
	return nil
}

// linkHeader is the longest header in front of a network packet that the MTU does not count: Ethernet's with two VLAN tags.
const linkHeader = 14 + 2*4

func (c *Config) checkQueue(q afxdp.Queue, s Source) error {
	longest := s.MaxLen()
	if longest > q.MTU()+linkHeader {
		return fmt.Errorf("%w: packets of up to %d bytes (with FCS), and queue %d takes %d: the interface's MTU is %d", ErrConfig,
			longest+rate.FCS, q.Index(), q.MTU()+linkHeader+rate.FCS, q.MTU())
	}
	if longest > q.Pool().ChunkSize()-offset && !q.Mode().MultiBuffer {
		return fmt.Errorf("%w: packets of up to %d bytes do not fit frames of %d, and the interface has no multi-buffer", ErrConfig,
			longest, q.Pool().ChunkSize())
	}
	if c.StampEvery > 0 && !q.Mode().TxTimestamps {
		return fmt.Errorf("queue %d does not tell when packets are sent: %w", q.Index(),
			errors.Join(q.Mode().NoTxTimestamps, ErrConfig))
	}
	return nil
}

package receive

import (
	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen/measure"
)

// Clocks counts packets by who noted when they came.
type Clocks struct {
	Worker uint64 `help:"packets whose time is that at which the worker took them from the ring"`
	Kernel uint64 `help:"packets whose time the XDP program noted, by CLOCK_TAI"`
	Device uint64 `help:"packets whose time the network card noted, by its own clock"`
}

// Measurer is a Handler that measures what a queue receives. Several, of several queues, may have one Recorder.
type Measurer struct {
	recorder *measure.Recorder
	queue    interface {
		Hints(frame.Desc) (afxdp.Hints, bool)
	}
	hints   bool
	clocks  Clocks // guarded by the recorder, as what it measures is
	scratch []byte // for packets of several frames
}

// NewMeasurer makes a Measurer of what a queue receives.
func NewMeasurer(recorder *measure.Recorder, queue afxdp.Queue) *Measurer {
	m := &Measurer{recorder: recorder, queue: queue, hints: queue.Mode().RxHints}
	if queue.Mode().MultiBuffer {
		m.scratch = make([]byte, 0, frame.MaxFrames*queue.Pool().ChunkSize())
	}
	return m
}

// Handle measures a batch. Nothing of it is to be sent.
func (m *Measurer) Handle(batch []frame.Desc, pool *frame.Pool, now uint64, c *Counters) (send int) {
	m.Received(batch, pool, now)
	c.Measured += uint64(packets(batch))
	return 0
}

// Received measures a batch of whole packets, which was taken from the ring at a time by CLOCK_TAI in ns. It is what a sender's worker
// calls that measures what comes back to it.
func (m *Measurer) Received(batch []frame.Desc, pool *frame.Pool, now uint64) {
	meter := m.recorder.Take()
	defer m.recorder.Release()
	for i := 0; i < len(batch); i++ {
		at, device := m.arrival(batch[i], now)
		b := pool.Bytes(batch[i])
		if batch[i].More {
			b, i = m.gather(batch, i, pool)
		}
		meter.Packet(b, at, device)
	}
}

// arrival says when a packet came, of which this is the first frame.
func (m *Measurer) arrival(d frame.Desc, now uint64) (at uint64, device bool) {
	if m.hints {
		if h, ok := m.queue.Hints(d); ok {
			if h.DeviceTime {
				m.clocks.Device++
			} else {
				m.clocks.Kernel++
			}
			return h.Time, h.DeviceTime
		}
	}
	m.clocks.Worker++
	return now, false
}

// gather copies a packet that lies in several frames together, and returns where in the batch its last one is.
func (m *Measurer) gather(batch []frame.Desc, i int, pool *frame.Pool) (packet []byte, last int) {
	packet = m.scratch[:0]
	for ; ; i++ {
		packet = append(packet, pool.Bytes(batch[i])...)
		if !batch[i].More || i == len(batch)-1 {
			return packet, i
		}
	}
}

// Clocks returns how many packets were timed by which clock so far.
func (m *Measurer) Clocks() Clocks {
	m.recorder.Take()
	defer m.recorder.Release()
	return m.clocks
}

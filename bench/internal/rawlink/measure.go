package rawlink

import (
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen"
	"github.com/xdpstack/xdpstack/gen/measure"
	"github.com/xdpstack/xdpstack/gen/receive"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Arrival says who notes when frames come that are measured.
type Arrival string

// What the end of role Measure does.
const (
	NoArrival Arrival = ""       // it drops them, and measures nothing
	ByWorker  Arrival = "worker" // who takes them from the ring
	ByProgram Arrival = "xdp"    // the XDP program, in front of each
)

// Handling is the time that an end of role Measure takes for a frame, from when it has the batch until its frames are free again.
const Handling = "handling ns/frame"

// measuring is what an end of role Measure has beside the others.
type measuring struct {
	measurer *receive.Measurer // nil: nothing is measured
	tai      clock.TAI
	seq      uint32 // of a feed that signs
	spent    int64  // ns of handling, so far and
	before   int64  // when the window began
}

func (e *end) prepareMeasuring() error {
	if e.Arrival == NoArrival {
		return nil
	}
	recorder, err := measure.NewRecorder(measure.Config{})
	if err != nil {
		return err
	}
	e.measuring.measurer = receive.NewMeasurer(recorder, e.queue)
	return nil
}

// measure receives a batch and forgets it after it was measured, if it is.
func (e *end) measure() error {
	m := &e.measuring
	if n := e.queue.Receive(e.descs[:]); n > 0 {
		began := clock.Now()
		if m.measurer != nil {
			m.measurer.Received(e.descs[:n], e.pool, m.tai.Convert(began))
		}
		for _, d := range e.descs[:n] {
			if int(d.Len) == e.Size {
				e.frames++
			}
			e.pool.Release(d.Frame)
		}
		m.spent += int64(clock.Now().Sub(began))
	}
	e.queue.Recycle()
	return nil
}

// sign gives frames that are about to be sent their numbers and times. Their UDP checksum is 0: there is none.
func (e *end) sign(out []frame.Desc) {
	m := &e.measuring
	now := m.tai.Convert(clock.Now())
	for _, d := range out {
		b := e.pool.Bytes(d)
		gen.PutSignature(b[len(b)-gen.SignatureLen:], gen.Signature{Sequence: m.seq, Time: now})
		m.seq++
	}
}

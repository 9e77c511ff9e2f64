package receive

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen/measure"
)

// Tap measures what comes back to a sender, on the sender's own worker (it is an engine.Receiver), and answers ARP for the sender's
// address there.
type Tap struct {
	*Measurer
	queue    afxdp.Queue
	counters Counters // guarded by the recorder, as what is measured is
	batch    [batchLen]frame.Desc
	responder
}

// NewTap makes a Tap of what comes to a queue. Without a valid address it answers no ARP.
func NewTap(recorder *measure.Recorder, queue afxdp.Queue, address netip.Addr) *Tap {
	return &Tap{Measurer: NewMeasurer(recorder, queue), queue: queue, responder: newResponder(queue, address)}
}

// Received takes a batch, whose frames stay the sender's.
func (t *Tap) Received(batch []frame.Desc, pool *frame.Pool, now uint64) {
	for len(batch) > batchLen { // not within a packet
		n := batchLen
		for batch[n-1].More {
			n--
		}
		t.take(batch[:n], pool, now)
		batch = batch[n:]
	}
	t.take(batch, pool, now)
}

func (t *Tap) take(batch []frame.Desc, pool *frame.Pool, now uint64) {
	if t.answers {
		batch = t.answerARP(batch, pool)
	}
	if len(batch) > 0 {
		t.Measurer.Received(batch, pool, now)
	}
}

// answerARP answers ARP and returns the rest of the batch, in other memory. The sender flushes the ring, and counts its own packets itself.
func (t *Tap) answerARP(batch []frame.Desc, pool *frame.Pool) []frame.Desc {
	t.recorder.Take()
	defer t.recorder.Release()
	rest, replies := t.answer(t.batch[:copy(t.batch[:], batch)], pool, &t.counters)
	if replies > 0 {
		took := t.queue.Transmit(t.replies[:replies])
		t.counters.Answered += uint64(took)
		t.counters.NotSent += uint64(replies - took)
	}
	return rest
}

// Counters returns what it answered so far.
func (t *Tap) Counters() Counters {
	t.recorder.Take()
	defer t.recorder.Release()
	return t.counters
}

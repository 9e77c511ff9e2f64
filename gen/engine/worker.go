package engine

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Schedule is a *rate.Pacer or a *rate.Replay.
type Schedule interface {
	Start(at clock.Time)
	Due(now clock.Time) int
	Sent(n, bytes int) (first, last clock.Time)
	Next() clock.Time
	Over(now clock.Time) bool
	Warm() bool
	Lost() uint64
}

// worker sends through one queue, on a goroutine of its own that alone uses all of this but the atomic fields.
type worker struct {
	queue    afxdp.Queue
	pool     *frame.Pool
	source   Source
	writer   Writer // the source, if it is one
	schedule Schedule
	receiver Receiver
	tai      clock.TAI
	spin     time.Duration
	cpu      int
	batch    int  // packets
	ring     int  // frames that the TX ring holds
	copying  bool // the kernel copies frames, and takes all there are at a flush
	down     bool // the link, at the last flush

	descs   []frame.Desc // a batch
	runs    []run        // of packets in it
	scratch []byte       // for packets that are larger than a frame; nil: there are none
	stamps  stamps

	began, ended clock.Time // the counted part
	warm         bool
	base         Counters // when the warm-up was over
	own          Counters // those that the queue does not count
	before       afxdp.Stats
	late         *hdrhistogram.Histogram // ns, since it was last asked for

	stopping atomic.Bool
	request  atomic.Pointer[request]
	done     chan struct{} // closed when everything above is final
	err      error
}

// run is a row of packets in a batch that follow each other evenly in the schedule.
type run struct {
	packets     int
	first, last clock.Time // 0: they have no schedule, or do not count
}

const (
	// offset is where packets begin in their frames: with room in front for what a descriptor asks of the device, and on a cache line.
	offset = 64

	receiveBatch = 64 // frames, at least: more than the largest packet has

	downSleep    = 10 * time.Millisecond // while the link is down
	longestLate  = int64(time.Minute)    // that is recorded
	shortestWait = 2 * time.Microsecond  // for less a system call is not worth it
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longestLate, 3) }

// loop sends until the schedule is over or the worker is stopped. The error is of a queue that is of no use any more.
func (w *worker) loop() error {
	for {
		now := clock.Now()
		w.answer(now)
		if w.receiver != nil {
			w.receive()
		}
		sent, err := w.send(now)
		if err != nil && !errors.Is(err, afxdp.ErrInterfaceDown) {
			return err
		}
		w.queue.Recycle()
		w.takeStamps()
		if w.stopping.Load() || w.schedule.Over(now) {
			return nil
		}
		switch {
		case err != nil:
			_ = w.queue.Wait(downSleep) // what it says the next turn finds out
		case sent == 0:
			w.wait(now)
		}
	}
}

// wait returns some time before the next packet is due: at once when that is near, after a sleep when it is far.
func (w *worker) wait(now clock.Time) {
	sleep := w.schedule.Next().Sub(now) - max(w.spin, 0)
	if sleep < shortestWait {
		return
	}
	_ = w.queue.Wait(sleep)
}

// receive hands over what came.
func (w *worker) receive() {
	for range 4 { // batches, before it is time to send again
		n := w.queue.Receive(w.descs)
		if n == 0 {
			return
		}
		w.receiver.Received(w.descs[:n], w.pool, w.tai.Convert(clock.Now()))
		for _, d := range w.descs[:n] {
			w.pool.Release(d.Frame)
		}
		if n < len(w.descs)/2 {
			return
		}
	}
}

// finish waits for what the device still has, goes on receiving for a while, and accounts for every frame.
func (w *worker) finish(drain, linger time.Duration) {
	w.ended = clock.Now()
	s := w.queue.Stats()
	for end := w.ended.Add(drain); s.Completions != s.TxPackets+s.TxFragments && clock.Now() < end; {
		if err := w.queue.Flush(); err != nil && !errors.Is(err, afxdp.ErrInterfaceDown) {
			break
		}
		w.serve()
		if w.queue.Recycle() == 0 {
			_ = w.queue.Wait(100 * time.Microsecond)
		}
	}
	w.takeStamps()
	for end := clock.Now().Add(linger); w.receiver != nil && linger > 0; {
		w.serve()
		w.queue.Recycle()
		left := end.Sub(clock.Now())
		if left <= 0 || w.queue.Wait(left) != nil {
			break
		}
	}
	// Of packets in several frames each is a completion: what is unfinished is a matter of frames then, the last ones'.
	w.own.Unfinished = (s.TxPackets + s.TxFragments - s.Completions + uint64(w.perPacket()) - 1) / uint64(w.perPacket())
}

// serve does what there is to do beside sending.
func (w *worker) serve() {
	w.answer(clock.Now())
	if w.receiver != nil {
		w.receive()
	}
}

// perPacket is how many frames the longest packet takes.
func (w *worker) perPacket() int {
	if w.scratch == nil {
		return 1
	}
	room := w.pool.ChunkSize() - offset
	return (len(w.scratch) + room - 1) / room
}

// run is the worker's goroutine. ready is told when it may start, start tells when the schedule does.
func (w *worker) run(ready chan<- error, start <-chan clock.Time, cfg *Config) {
	defer close(w.done)
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, for it is like no other
	err := prepareThread(w.cpu)
	ready <- err
	at, ok := <-start
	if err != nil || !ok {
		return
	}
	w.before, w.ring, w.copying = *w.queue.Stats(), w.queue.Room(), !w.queue.Mode().ZeroCopy
	w.began = at.Add(cfg.Rate.WarmUp)
	w.warm = cfg.Rate.WarmUp > 0
	w.ended = at
	w.schedule.Start(at)
	w.err = w.loop()
	w.finish(cfg.Drain, cfg.Linger)
}

// counters returns what was counted since the warm-up.
func (w *worker) counters() Counters { return w.all().Since(w.base) }

// all returns what was counted since the start.
func (w *worker) all() Counters {
	c, s := w.own, w.queue.Stats()
	c.Malformed = s.TxMalformed - w.before.TxMalformed
	c.Packets -= c.Malformed
	c.Lost = w.schedule.Lost()
	c.Dropped = s.KickEbusy - w.before.KickEbusy
	c.NoMemory = s.KickEnobufs - w.before.KickEnobufs
	c.Kicks = s.Kicks - w.before.Kicks
	c.Sleeps = s.Sleeps - w.before.Sleeps
	c.StampsLost = s.TxStampsLost - w.before.TxStampsLost
	c.Received = s.RxPackets - w.before.RxPackets
	return c
}

var _ = []Schedule{(*rate.Pacer)(nil), (*rate.Replay)(nil)}

package engine

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/gen/rate"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// fakeQueue is a queue in memory: its device takes as much at a flush as takes says, and completes it at once.
type fakeQueue struct {
	afxdp.Queue
	pool    *frame.Pool
	stats   afxdp.Stats
	mode    afxdp.BoundMode
	ring    []frame.Desc
	size    int
	takes   func() int   // packets at a flush; nil: all
	state   func() error // of the link; nil: good
	sent    []uint32     // the first bytes of the packets that left
	keep    bool         // sent
	arrived []frame.Desc // to be received
	mtu     int
}

func newFakeQueue(t testing.TB, frames int) *fakeQueue {
	t.Helper()
	p, err := frame.NewPool(make([]byte, frames*2048), 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeQueue{pool: p, size: frames / 2, mtu: 1500}
}

func (q *fakeQueue) Index() int            { return 0 }
func (q *fakeQueue) Pool() *frame.Pool     { return q.pool }
func (q *fakeQueue) MTU() int              { return q.mtu }
func (q *fakeQueue) Mode() afxdp.BoundMode { return q.mode }
func (q *fakeQueue) Stats() *afxdp.Stats   { return &q.stats }
func (q *fakeQueue) Room() int             { return q.size - len(q.ring) }
func (q *fakeQueue) Wake()                 {}
func (q *fakeQueue) Recycle() int          { return 0 }

func (q *fakeQueue) Wait(d time.Duration) error {
	q.stats.Sleeps++
	time.Sleep(min(d, time.Millisecond))
	return nil
}

func (q *fakeQueue) Receive(batch []frame.Desc) int {
	n := copy(batch, q.arrived)
	q.arrived = q.arrived[n:]
	q.stats.RxPackets += uint64(n)
	return n
}

func (q *fakeQueue) Transmit(batch []frame.Desc) int {
	for _, d := range batch {
		q.pool.Transmitting(d.Frame)
		q.ring = append(q.ring, d)
		if !d.More {
			q.stats.TxPackets++
		} else {
			q.stats.TxFragments++
		}
	}
	return len(batch)
}

func (q *fakeQueue) Flush() error {
	if len(q.ring) == 0 {
		return nil
	}
	if q.state != nil {
		if err := q.state(); err != nil {
			return err
		}
	}
	q.stats.Kicks++
	n := len(q.ring)
	if q.takes != nil {
		n = min(n, q.takes())
	}
	for _, d := range q.ring[:n] {
		if q.keep {
			b := q.pool.Bytes(d)
			q.sent = append(q.sent, uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]))
		}
		q.pool.Completed(d.Frame)
		q.stats.Completions++
	}
	q.ring = q.ring[:copy(q.ring, q.ring[n:])]
	return nil
}

var errDown = &afxdp.Error{Op: "send", Kind: afxdp.ErrInterfaceDown, Err: unix.ENETDOWN}

// numbers is a Source of packets that begin with their number.
type numbers struct {
	n      uint32
	length int
	now    uint64
}

func (s *numbers) MaxLen() int      { return s.length }
func (s *numbers) MeanLen() float64 { return float64(s.length) }

func (s *numbers) Next(b []byte, now uint64) int {
	b[0], b[1], b[2], b[3] = byte(s.n>>24), byte(s.n>>16), byte(s.n>>8), byte(s.n)
	s.n++
	s.now = now
	return s.length
}

// accounted checks that every frame is back.
func accounted(t *testing.T, q afxdp.Queue) {
	t.Helper()
	if err := q.Pool().Check(); err != nil {
		t.Error(err)
	}
	if a := q.Pool().Account(); a.Free+a.Fill != q.Pool().Size() {
		t.Errorf("frames are missing: %+v of %d", a, q.Pool().Size())
	}
}

func constant(pps float64, d time.Duration) rate.Config {
	return rate.Config{Phases: []rate.Phase{rate.Constant(rate.PPS(pps), d)}}
}

// turner is a worker that a test turns itself.
func turner(t testing.TB, q *fakeQueue, cfg Config) (*worker, clock.Time) {
	t.Helper()
	cfg.Queues, cfg.Sources = []afxdp.Queue{q}, []Source{&numbers{length: 60}}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := e.workers[0]
	w.ring, w.copying = q.Room(), true
	now := clock.Now()
	w.schedule.Start(now)
	return w, now
}

func TestNoAllocation(t *testing.T) {
	q := newFakeQueue(t, 256)
	q.ring = make([]frame.Desc, 0, 256)
	w, now := turner(t, q, Config{Rate: constant(1e6, 0)})
	if n := testing.AllocsPerRun(1000, func() {
		now += 20e3
		if sent, err := w.send(now); sent == 0 || err != nil {
			t.Fatal(sent, err)
		}
		w.queue.Recycle()
		w.takeStamps()
	}); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

func BenchmarkTurn(b *testing.B) {
	q := newFakeQueue(b, 256)
	q.ring = make([]frame.Desc, 0, 256)
	w, now := turner(b, q, Config{Rate: constant(1e6, 0)})
	for b.Loop() {
		now += 64e3
		_, _ = w.send(now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/packet")
}

// TestFullDevice has a device that takes two packets at a time: nothing is sent twice or forgotten, what waits in the ring is bounded, and
// what cannot leave is taken off the schedule.
func TestFullDevice(t *testing.T) {
	q := newFakeQueue(t, 512)
	q.takes, q.keep = func() int { return 2 }, true
	w, now := turner(t, q, Config{Rate: constant(1e6, 100*time.Millisecond), Batch: 16})
	for !w.schedule.Over(now) {
		now += 10e3 // 10 packets are due
		if _, err := w.send(now); err != nil {
			t.Fatal(err)
		}
		if n := len(q.ring); n > 80 {
			t.Fatalf("%d packets wait in the ring", n)
		}
	}
	w.finish(time.Second, 0)
	c := w.counters()
	if c.Packets+c.Lost != 100e3 || c.Lost < 50e3 || c.RingFull == 0 || c.Unfinished != 0 || uint64(len(q.sent)) != c.Packets {
		t.Errorf("%d left: %+v", len(q.sent), c)
	}
	for i, n := range q.sent {
		if n != uint32(i) {
			t.Fatalf("packet %d is number %d", i, n)
		}
	}
	accounted(t, q)
}

// TestDeviceStops has the device take nothing any more: the end comes all the same, and tells what it still has.
func TestDeviceStops(t *testing.T) {
	q := newFakeQueue(t, 512)
	left := 1000
	q.takes = func() int { n := min(left, 10); left -= n; return n }
	w, now := turner(t, q, Config{Rate: constant(1e6, 10*time.Millisecond)})
	for !w.schedule.Over(now) {
		now += 10e3
		if _, err := w.send(now); err != nil {
			t.Fatal(err)
		}
	}
	w.finish(5*time.Millisecond, 0)
	c := w.counters()
	if c.Left() != 1000 || c.Unfinished == 0 || c.Unfinished != uint64(len(q.ring)) || c.Packets+c.Lost != 10e3 {
		t.Errorf("%d wait in the ring: %+v", len(q.ring), c)
	}
	if a := q.pool.Account(); a.TX != len(q.ring) || a.Held != 0 {
		t.Errorf("%+v", a)
	}
}

// TestLinkDown has the link away for a while: what is due meanwhile is lost, but for what may be made up for.
func TestLinkDown(t *testing.T) {
	q := newFakeQueue(t, 512)
	cfg := Config{Rate: constant(100e3, time.Second)}
	cfg.Rate.CatchUp = 10 * time.Millisecond
	w, begin := turner(t, q, cfg)
	var now clock.Time
	q.state = func() error {
		if t := now.Sub(begin); t > 300*time.Millisecond && t < 700*time.Millisecond {
			return errDown
		}
		return nil
	}
	for now = begin; !w.schedule.Over(now); now += 100e3 {
		_, err := w.send(now)
		if err != nil && !errors.Is(err, afxdp.ErrInterfaceDown) {
			t.Fatal(err)
		}
	}
	w.finish(time.Second, 0)
	c := w.counters()
	if c.Packets+c.Lost != 100e3 || c.Lost < 38900 || c.Lost > 39100 || c.LinkDown < 3900 || c.RingFull != 0 {
		t.Errorf("%+v", c)
	}
	accounted(t, q)
}

// TestNoFrame leaves the pool almost empty: the schedule waits for frames.
func TestNoFrame(t *testing.T) {
	q := newFakeQueue(t, 64)
	for range 60 {
		q.pool.Alloc()
	}
	q.size = 64
	w, now := turner(t, q, Config{Rate: constant(1e6, time.Millisecond)})
	for !w.schedule.Over(now) {
		now += 10e3
		if _, err := w.send(now); err != nil {
			t.Fatal(err)
		}
	}
	if c := w.counters(); c.Packets+c.Lost != 1000 || c.NoFrame == 0 {
		t.Errorf("%+v", c)
	}
}

// TestLarge sends packets that do not fit a frame.
func TestLarge(t *testing.T) {
	q := newFakeQueue(t, 256)
	q.mtu, q.mode.MultiBuffer = 9000, true
	source := &numbers{length: 9014}
	e, err := New(Config{Queues: []afxdp.Queue{q}, Sources: []Source{source}, Rate: constant(1e5, time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	w, now := e.workers[0], clock.Now()
	w.ring = q.Room()
	w.schedule.Start(now)
	bytes := uint32(0)
	q.takes = func() int {
		for _, d := range q.ring {
			bytes += d.Len
		}
		return len(q.ring)
	}
	for !w.schedule.Over(now) {
		now += 10e3
		if _, err := w.send(now); err != nil {
			t.Fatal(err)
		}
	}
	if q.stats.TxPackets != 100 || q.stats.TxFragments != 400 || bytes != 100*9014 {
		t.Errorf("%d packets with %d more frames and %d bytes", q.stats.TxPackets, q.stats.TxFragments, bytes)
	}
	accounted(t, q)
}

// TestBatch has the default follow the rate.
func TestBatch(t *testing.T) {
	for want, c := range map[int]rate.Config{256: {}, 64: constant(1e6, 0)} {
		w, _ := turner(t, newFakeQueue(t, 1024), Config{Rate: c})
		if w.batch != want {
			t.Errorf("batches of %d, want %d", w.batch, want)
		}
	}
}

// TestLateness looks at the clock half a millisecond late: the packets of a batch are late by what each has waited.
func TestLateness(t *testing.T) {
	q := newFakeQueue(t, 256)
	w, now := turner(t, q, Config{Rate: constant(100e3, time.Second)})
	w.runs = append(w.runs[:0], run{packets: 51, first: now, last: now + 500e3})
	w.note(now + 500e3)
	if n, least, most := w.late.TotalCount(), w.late.Min(), w.late.Max(); n != 51 || least > 1000 || most < 499e3 || most > 501e3 {
		t.Errorf("%d are late by %d to %d ns", n, least, most)
	}
	if mean := w.late.Mean(); mean < 249e3 || mean > 251e3 {
		t.Errorf("%.0f ns in the mean", mean)
	}
}

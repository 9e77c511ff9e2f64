package afxdp

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// sharing is a laboratory whose stack side has two queues in one memory.
func sharing(t *testing.T, opt Options) *rig {
	t.Helper()
	m, err := NewMemory(2, opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.Memory, opt.Frames, opt.FrameSize = m, 0, 0
	r := newRig(t, netlab.Config{Queues: 2}, opt)
	for _, q := range r.iface.Queues() {
		t.Log(q.Index(), q.Mode())
	}
	return r
}

// forward has each of two queues send what the other one receives, whichever packets come to, until want packets have come or nothing
// came for a while.
func (r *rig) forward(m *Memory, q []Queue, want int) (got int) {
	r.t.Helper()
	for end := time.Now().Add(5 * time.Second); got < want && time.Now().Before(end); {
		all := 0
		for i, from := range q {
			to := q[1-i]
			n := from.Receive(r.batch[:min(len(r.batch), to.Room())])
			keep := r.batch[:0]
			for _, d := range r.batch[:n] {
				b := from.Pool().Bytes(d)
				if _, ok := number(b); ok {
					copy(b, r.lab.Kernel.MAC[:]) // a switch would not send it back to whom it was for
					copy(b[6:], r.lab.Stack.MAC[:])
					keep = append(keep, d)
				} else {
					from.Pool().Release(d.Frame)
				}
			}
			if took := m.Lend(to, from, keep); took != len(keep) {
				r.t.Fatalf("%d of %d packets taken, with room", took, len(keep))
			}
			all, got = all+n, got+len(keep)
			if err := to.Flush(); err != nil {
				r.t.Fatal(err)
			}
			to.Recycle()
			from.Recycle()
		}
		if all == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return got
}

// home waits until every frame is back in its own pool.
func (r *rig) home(queues ...Queue) {
	r.t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		out := 0
		for range 2 { // what one gives back, the other takes in the next round
			for _, q := range queues {
				if err := q.Flush(); err != nil && !errors.Is(err, ErrClosed) {
					r.t.Fatal(err)
				}
				q.Recycle()
			}
		}
		for _, q := range queues {
			if err := q.Pool().Check(); err != nil {
				r.t.Fatal(err)
			}
			a := q.Pool().Account()
			out += a.Held + a.TX
		}
		if out == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%d frames do not come home", out)
		}
	}
}

// TestLend forwards what one queue receives through another one, without a copy: every packet comes out as it came in, and every frame comes
// back to the pool that it is of, also when there are many times more packets than frames.
func TestLend(t *testing.T) {
	r := sharing(t, Options{Frames: 512, RxRing: 64, TxRing: 64, FillRing: 128, CompletionRing: 64, TxBudget: 32, FrameSize: 4096})
	m := r.iface.Queues()[0].(*native).part.memory
	q := r.iface.Queues()
	const rounds, burst = 40, 50
	for round := range uint32(rounds) {
		for n := range uint32(burst) {
			r.peer.send(r.toStack(round*burst+n, 60+int(n)*20))
		}
		if got := r.forward(m, q, burst); got != burst {
			t.Fatalf("round %d: %d packets of %d came", round, got, burst)
		}
		sent := r.peer.receive(burst)
		if len(sent) != burst || !slices.IsSorted(sent) || sent[0] != round*burst {
			t.Fatalf("round %d: %d packets of %d were forwarded: %v", round, len(sent), burst, sent)
		}
		r.home(q...)
	}
	for i, q := range q {
		if s := q.Stats(); s.CqInvalid != 0 || s.RxInvalid != 0 || s.TxMalformed != 0 {
			t.Errorf("queue %d: %+v", i, *s)
		}
	}
	// A frame is sent by its own queue as ever.
	for i, q := range q {
		if !r.transmit(q, uint32(i), 100) {
			t.Fatal("no room")
		}
		if err := q.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.peer.receive(2); len(got) != 2 {
		t.Errorf("%d packets of 2 that the queues sent themselves", len(got))
	}
	r.home(q...)
	var batch [1]frame.Desc
	if n := testing.AllocsPerRun(100, func() {
		f := q[0].Pool().Alloc()
		batch[0] = frame.Desc{Frame: f, Len: 60}
		udpFrame(q[0].Pool().Chunk(f), r.lab.Kernel.MAC, r.lab.Stack.MAC, sink, r.lab.Stack.Address.Addr(), 1, 60)
		if m.Lend(q[1], q[0], batch[:]) == 0 { // the card is slower than this
			q[0].Pool().Release(f)
		}
		_ = q[1].Flush()
		q[1].Recycle()
		q[0].Recycle()
	}); n != 0 {
		t.Errorf("%v allocations to lend a frame", n)
	}
	r.home(q...)
}

// TestLendMalformed gives packets that cannot be sent: they are dropped and counted, and their frames come home. With the TX ring full,
// what is not taken stays the lender's.
func TestLendMalformed(t *testing.T) {
	r := sharing(t, Options{Frames: 512, RxRing: 64, TxRing: 64, FillRing: 128, CompletionRing: 64, FrameSize: 2048})
	q := r.iface.Queues()
	m := q[0].(*native).part.memory
	bad := []frame.Desc{{Len: 13}, {Off: 2048, Len: 60}, {Off: 2000, Len: 60}, {Off: 1 << 31, Len: 1 << 31}, {Len: 60, Mark: frame.Mark{More: true}}, {Len: 60, Mark: frame.Mark{Ask: frame.AskSum(34, 6)}}}
	for _, d := range bad {
		d.Frame = q[0].Pool().Alloc()
		if took := m.Lend(q[1], q[0], []frame.Desc{d}); took != 1 {
			t.Errorf("%+v: %d taken, want it dropped", d, took)
		}
	}
	if n := q[1].Stats().TxMalformed; n != uint64(len(bad)) {
		t.Errorf("%d packets counted as malformed, want %d", n, len(bad))
	}
	r.home(q...)
	var batch []frame.Desc
	for range 100 {
		batch = append(batch, frame.Desc{Frame: q[0].Pool().Alloc(), Len: 60})
	}
	took := m.Lend(q[1], q[0], batch)
	if took != 64 || q[0].Pool().Account().Held != 100 {
		t.Errorf("%d of 100 taken by a ring of 64, %+v", took, q[0].Pool().Account())
	}
	for _, d := range batch[took:] {
		q[0].Pool().Release(d.Frame)
	}
	if err := q[1].Flush(); err != nil {
		t.Fatal(err)
	}
	r.home(q...)
	for _, f := range []func(){
		func() { m.Lend(q[0], q[0], nil) },
		func() { (&Memory{}).Lend(q[1], q[0], nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("queues that share no memory can lend")
				}
			}()
			f()
		}()
	}
}

// TestLenderOfClosedQueue closes the queue that has been lent frames before it has sent them: they come home.
func TestLentToClosedQueue(t *testing.T) {
	r := sharing(t, Options{Frames: 512, RxRing: 64, TxRing: 64, FillRing: 128, CompletionRing: 64})
	q := r.iface.Queues()
	m := q[0].(*native).part.memory
	var batch []frame.Desc
	for range 20 {
		batch = append(batch, frame.Desc{Frame: q[0].Pool().Alloc(), Len: 60})
	}
	if took := m.Lend(q[1], q[0], batch); took != len(batch) { // and no Flush
		t.Fatalf("%d taken", took)
	}
	if err := q[1].Close(); err != nil {
		t.Fatal(err)
	}
	r.home(q[0])
}

// TestMemory opens and closes queues of one memory in any order, and asks for what cannot be.
func TestMemory(t *testing.T) {
	lab := labFor(t, netlab.Config{Name: "memory", Queues: 2})
	m, err := NewMemory(2, Options{Frames: 512, RxRing: 64, TxRing: 64})
	if err != nil {
		t.Fatal(err)
	}
	small := small
	small.Memory, small.Frames = m, 0
	for round := range 3 { // the last one unmaps it, and it is mapped again
		iface, err := openSide(lab.Stack, small)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		q := iface.Queues()
		a, b := q[0].(*native), q[1].(*native)
		if a.mem != b.mem || a.pool.Addr(0, 0) != 0 || b.pool.Addr(0, 0) != 512*4096 || a.part.number != 0 || b.part.number != 1 {
			t.Errorf("parts at %#x and %#x", a.pool.Addr(0, 0), b.pool.Addr(0, 0))
		}
		if f, off := b.pool.Locate(512*4096 + 5); f != 0 || off != 5 {
			t.Errorf("the second part's sixth byte is %d of frame %d", off, f)
		}
		if f, _ := b.pool.Locate(5); f != frame.None {
			t.Errorf("the first part's sixth byte is of the second's frame %d", f)
		}
		full := small
		full.Queues = []int{0}
		if err := lab.Stack.Do(func() error { _, err := m.take(place{}, -1); return err }); !errors.Is(err, ErrMemory) {
			t.Errorf("a third part of two: %v", err)
		}
		if err := q[round%2].Close(); err != nil {
			t.Error(err)
		}
		if err := iface.Close(); err != nil {
			t.Error(err)
		}
		if m.mem != nil || len(m.bound) != 0 || m.taken[0] != nil || m.taken[1] != nil {
			t.Errorf("after the last one was closed: %+v", m)
		}
	}
	for _, o := range []Options{{Memory: m, Frames: 16384}, {Memory: m, FrameSize: 2048}, {Memory: m, Headroom: 64}, {Memory: m, Driver: DriverAsavie}} {
		err := lab.Stack.Do(func() error { _, err := Open(lab.Stack.Interface, o, bpf.Config{}); return err })
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v, want ErrOptions", o, err)
		}
	}
	for _, c := range []struct {
		queues int
		o      Options
	}{{0, Options{}}, {maxParts + 1, Options{}}, {2, Options{Frames: 1 << 24}}, {2, Options{FrameSize: 1000}}} {
		if _, err := NewMemory(c.queues, c.o); !errors.Is(err, ErrOptions) {
			t.Errorf("%d queues, %+v: %v, want ErrOptions", c.queues, c.o, err)
		}
	}
}

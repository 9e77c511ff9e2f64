package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/xdpstack/xdpstack/frame"
)

// runSegments makes up what a peer might send: runs of data, of ACKs and of both, with something in between that ends them. The
// connection has sent so many bytes.
func runSegments(r *rand.Rand, s *script, sent uint32) (segs []seg) {
	seq, ack, wnd := uint32(1), uint32(1), uint32(60_000)
	ts := s.peerTS()
	for len(segs) < 30 {
		g := seg{flags: fA, seq: seq, ack: ack, wnd: wnd, tsVal: ts}
		if r.IntN(3) == 0 {
			g.flags |= FlagPSH
		}
		kind := r.IntN(24)
		switch {
		case kind < 9:
			g.len = 257 + r.Uint32N(1200)
			if r.IntN(8) == 0 {
				g.wnd = 40_000 + r.Uint32N(40_000)
			}
		case kind < 15:
			ack = min(ack+r.Uint32N(3000), sent+1)
			g.ack = ack
			if r.IntN(3) == 0 {
				wnd = 50_000 + r.Uint32N(30_000)
				g.wnd = wnd
			}
			g.closed = r.IntN(10) == 0
			if r.IntN(6) == 0 {
				g.tsVal += r.Uint32N(3)
			}
		case kind == 15:
			g.len = 1 + r.Uint32N(256)
		case kind == 16: // a hole, which the next data fills
			g.len, g.seq = 400, seq+400
			segs = append(segs, g)
			g.seq = seq
			seq += 400
		case kind == 17:
			g.len, g.ce = 500, true
		case kind == 18:
			ts++
			g.tsVal, g.len = ts, 300
		case kind == 19:
			g.tsVal, g.len = ts-5, 300
			segs = append(segs, g)
			continue
		case kind == 20:
			g.noTS = r.IntN(4) == 0
			g.len = 300
		case kind == 21:
			g.closed = r.IntN(3) == 0
			g.ack = min(ack+100, sent+1)
		case kind == 22:
			g.ack = ack - min(ack-1, 500)
		case kind == 23 && r.IntN(10) == 0:
			g.flags |= FlagFIN
		}
		if !g.noTS || !s.ts {
			seq += g.len
		}
		segs = append(segs, g)
	}
	return segs
}

// outcome is what can be told of a connection after segments came.
func (s *script) outcome() string {
	c := s.c
	var data []byte
	for f := c.Recv(); f != frame.None; f = c.Recv() {
		data = append(data, s.k.Pool.Data(f)...)
		s.k.Pool.Release(f)
	}
	for i, b := range data {
		if b != pattern(uint32(i)+1) {
			s.t.Fatalf("byte %d of the received ones is wrong", i)
		}
	}
	st := s.k.Stats
	st.FastPath = 0
	d, r := &c.snd, &c.rcv
	return fmt.Sprintf("%v, received %d, nxt %d, adv %d, mss %d, dup ACKs %d, recent %d, una %d, nxt %d, wnd %d, wl1 %d, wl2 %d, max %d, "+
		"dup ACKs %d, lost %d, cwnd %d, unread %d, held %d, in use %d, stats %+v", c.state, len(data), r.nxt, r.adv, r.mss, r.dupACKs,
		c.ts.recent, d.una, d.nxt, d.wnd, d.wl1, d.wl2, d.maxWnd, d.dupACKs, d.lost, c.cc.Window(), s.k.unread, s.k.held,
		s.k.Pool.Account().Held, st)
}

// TestRunsChangeNothing has segments come in one batch, in which runs are merged, and one by one: what comes of them is the same.
func TestRunsChangeNothing(t *testing.T) {
	merged := uint64(0)
	for seed := range uint64(1500) {
		var got [2]string
		for way := range got {
			r := rand.New(rand.NewPCG(seed, 3))
			var cfg Config
			if seed%4 == 0 {
				cfg.RecvBuffer = 5000
			}
			s := established(t, scriptOptions{cfg: cfg, ts: seed%2 == 0, wscale: 2, sack: seed%3 == 0, iss: 1<<32 - 5000, irs: 1<<32 - 3000})
			s.c.Write(make([]byte, 100_000))
			for {
				if _, ok := s.pull(); !ok {
					break
				}
			}
			s.now = s.now.Add(20 * ms)
			segs := runSegments(r, s, uint32(s.c.snd.nxt-s.c.snd.iss)-1)
			fast := s.k.Stats.FastPath
			s.k.BeginBatch(s.now)
			for _, g := range segs {
				s.enqueue(g)
				if way == 1 {
					s.c.Process(s.now)
				}
			}
			for s.c.Process(s.now) {
			}
			merged += s.k.Stats.FastPath - fast
			got[way] = s.outcome()
			s.events = 0
		}
		if got[0] != got[1] {
			t.Fatalf("seed %d:\nin one batch %s\none by one   %s", seed, got[0], got[1])
		}
	}
	if merged == 0 {
		t.Error("nothing took the fast path")
	}
}

// TestRunIsBounded has a run end where others have their turn.
func TestRunIsBounded(t *testing.T) {
	s := established(t, scriptOptions{wscale: 4})
	for i := range uint32(2*MaxSegmentsPerWake + 10) {
		s.enqueue(seg{flags: fA, seq: 1 + 300*i, ack: 1, len: 300})
	}
	for _, want := range []uint64{MaxSegmentsPerWake, MaxSegmentsPerWake, 10} {
		before := s.k.Stats.SegmentsIn
		if more := s.c.Process(s.now); more != (want == MaxSegmentsPerWake) || s.k.Stats.SegmentsIn-before != want {
			t.Fatalf("%d segments were processed, want %d; more: %v", s.k.Stats.SegmentsIn-before, want, more)
		}
	}
	if got := uint32(s.c.rcv.nxt - s.c.rcv.irs); got != 1+300*(2*MaxSegmentsPerWake+10) {
		t.Errorf("received up to %d", got)
	}
	s.events = 0
}

// TestRunOfMarkedSegments has none of the marks in a run of ECN's be missed.
func TestRunOfMarkedSegments(t *testing.T) {
	s := established(t, scriptOptions{wscale: 4, ecn: true})
	for i := range uint32(6) {
		s.enqueue(seg{flags: fA, seq: 1 + 300*i, ack: 1, len: 300, ce: i == 4})
	}
	s.c.Process(s.now)
	if s.k.Stats.CEIn != 1 || !s.c.is(flagECE) {
		t.Errorf("%d marks were seen; echoed: %v", s.k.Stats.CEIn, s.c.is(flagECE))
	}
	s.events = 0
}

// TestRunStopsAtTheBound has the bound on what is unread hold within a run.
func TestRunStopsAtTheBound(t *testing.T) {
	s := established(t, scriptOptions{wscale: 4})
	s.k.MaxUnread = 1000
	for i := range uint32(6) {
		s.enqueue(seg{flags: fA, seq: 1 + 300*i, ack: 1, len: 300})
	}
	s.c.Process(s.now)
	if got := uint32(s.c.rcv.nxt - s.c.rcv.irs - 1); got != 1200 || s.k.Stats.DropMemory != 2 {
		t.Errorf("%d bytes were taken and %d segments dropped, want 1200 and 2", got, s.k.Stats.DropMemory)
	}
	s.events = 0
}

// TestHyStartCountsMergedACKs has the ACKs of a run be as many samples as they are.
func TestHyStartCountsMergedACKs(t *testing.T) {
	var one, run hyStart
	for i := range 8 {
		one.onAck(&Ack{RTT: 10 * ms, ACKs: 1, Una: Seq(1000 * i), Nxt: 20_000})
	}
	run.onAck(&Ack{RTT: 10 * ms, ACKs: 8, Una: 7000, Nxt: 20_000})
	if one != run {
		t.Errorf("one by one %+v, merged %+v", one, run)
	}
}

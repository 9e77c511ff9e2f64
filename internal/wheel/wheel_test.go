package wheel

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const ms = clock.Time(time.Millisecond)

// fire advances the wheel in batches of the given size and returns all ids that are due.
func fire(w *Wheel, now clock.Time, batch int) []uint32 {
	var all []uint32
	due := make([]uint32, batch)
	for {
		n := w.Advance(now, due)
		all = append(all, due[:n]...)
		if n < batch {
			return all
		}
	}
}

func TestFiresOnceAtItsDeadline(t *testing.T) {
	for _, d := range []clock.Time{
		1, Tick - 1, Tick, Tick + 1, 40 * ms, 200 * ms, 255 * Tick, 256 * Tick, 257 * Tick, 1000 * ms, 60_000 * ms,
		256 * 256 * Tick, 7_200_000 * ms, 1 << 50, 1 << 62, clock.Never - 1<<41,
	} {
		for _, start := range []clock.Time{0, 1, 1000 * ms, 255 * Tick, 256*Tick - 1, 1<<36 - 1} {
			w := New(4, start)
			at := start + d
			w.Set(2, at)
			if got := w.Deadline(2); got < at || got-at >= Tick {
				t.Fatalf("deadline %d, want %d rounded up to a tick", got, at)
			}
			if got := fire(w, at-1, 8); len(got) != 0 {
				t.Fatalf("start %d, after %d: fired early: %v", start, d, got)
			}
			if w.Next() > at+Tick {
				t.Fatalf("start %d, after %d: Next is %d, more than a tick after the deadline %d", start, d, w.Next(), at)
			}
			if got := fire(w, at+Tick, 8); !slices.Equal(got, []uint32{2}) {
				t.Fatalf("start %d, after %d: fired %v a tick after the deadline", start, d, got)
			}
			if got := fire(w, clock.Never-1, 8); len(got) != 0 {
				t.Fatalf("fired again: %v", got)
			}
			if w.Deadline(2) != clock.Never || w.Next() != clock.Never {
				t.Fatalf("deadline %d and Next %d of an empty wheel", w.Deadline(2), w.Next())
			}
		}
	}
}

func TestPastDeadlineIsDueAtTheNextTick(t *testing.T) {
	w := New(3, 5000*ms)
	w.Set(0, 0)
	w.Set(1, 5000*ms)
	w.Set(2, -7)
	if got := fire(w, w.Next(), 8); len(got) != 3 {
		t.Fatalf("due: %v, want all three", got)
	}
	if w.Next() != clock.Never {
		t.Fatalf("Next is %d on an empty wheel", w.Next())
	}
}

func TestMovedLater(t *testing.T) {
	w := New(1, 0)
	w.Set(0, 10*ms)
	for i := clock.Time(0); i < 1000; i++ {
		w.Set(0, i*ms+200*ms)
		if got := fire(w, i*ms, 4); len(got) != 0 {
			t.Fatalf("at %d ms: fired %v", i, got)
		}
	}
	if got := fire(w, 1198*ms, 4); len(got) != 0 {
		t.Fatalf("fired at 1198 ms: %v", got)
	}
	if got := fire(w, 1201*ms, 4); len(got) != 1 {
		t.Fatalf("at 1201 ms: %v", got)
	}
}

func TestMovedEarlier(t *testing.T) {
	w := New(2, 0)
	w.Set(0, 100_000*ms)
	w.Set(1, 100_000*ms)
	w.Set(0, 40*ms)
	if w.Next() > 41*ms {
		t.Fatalf("Next is %d", w.Next())
	}
	if got := fire(w, 42*ms, 4); !slices.Equal(got, []uint32{0}) {
		t.Fatalf("at 42 ms: %v", got)
	}
}

func TestCancelAndNever(t *testing.T) {
	w := New(3, 0)
	for id := range uint32(3) {
		w.Cancel(id) // of nothing
		w.Set(id, 50*ms)
	}
	w.Cancel(0)
	w.Set(1, clock.Never)
	if w.Deadline(0) != clock.Never || w.Deadline(1) != clock.Never {
		t.Fatalf("deadlines %d %d", w.Deadline(0), w.Deadline(1))
	}
	if got := fire(w, 60*ms, 4); !slices.Equal(got, []uint32{2}) {
		t.Fatalf("fired %v", got)
	}
	w.Set(0, 70*ms)
	w.Set(1, 70*ms)
	w.Set(1, clock.Never)
	w.Set(1, 80*ms)
	if got := fire(w, 72*ms, 4); !slices.Equal(got, []uint32{0}) {
		t.Fatalf("fired %v", got)
	}
	if got := fire(w, 82*ms, 4); !slices.Equal(got, []uint32{1}) {
		t.Fatalf("fired %v", got)
	}
}

func TestTimeStandsStillOrGoesBack(t *testing.T) {
	w := New(1, 1000*ms)
	w.Set(0, 1010*ms)
	for _, now := range []clock.Time{1000 * ms, 1000 * ms, 0, -5, 1005 * ms, 1} {
		if got := fire(w, now, 4); len(got) != 0 {
			t.Fatalf("at %d: %v", now, got)
		}
	}
	if got := fire(w, 1012*ms, 4); len(got) != 1 {
		t.Fatalf("got %v", got)
	}
}

func TestGrow(t *testing.T) {
	w := New(1, 0)
	w.Set(0, 5*ms)
	size := w.Size() + 1000
	w.Grow(size)
	w.Grow(10)
	if w.Size() < size {
		t.Fatalf("size %d", w.Size())
	}
	w.Set(uint32(size-1), 5*ms)
	if got := fire(w, 7*ms, 4); len(got) != 2 {
		t.Fatalf("got %v", got)
	}
}

// TestAgainstModel compares long random runs with a map of deadlines: nothing fires early, nothing late, nothing twice, and
// jumping from Next to Next misses nothing.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		size := 1 + r.IntN(300)
		now := clock.Time(r.Int64N(1 << (1 + r.IntN(50))))
		w := New(size, now)
		model := map[uint32]clock.Time{}
		scale := []int64{int64(Tick), 300 * int64(Tick), 70000 * int64(Tick), 1 << 48}[r.IntN(4)]
		batch := 1 + r.IntN(20)
		for range 3000 {
			id := uint32(r.IntN(size))
			switch r.IntN(10) {
			case 0:
				w.Cancel(id)
				delete(model, id)
			case 1:
				w.Set(id, clock.Never)
				delete(model, id)
			case 2, 3:
				now += clock.Time(r.Int64N(scale))
				step(t, w, model, now, batch, seed)
			case 4:
				if next := w.Next(); next != clock.Never {
					now = max(now, next)
					step(t, w, model, now, batch, seed)
				}
			default:
				at := now + clock.Time(r.Int64N(scale)-scale/16)
				w.Set(id, at)
				model[id] = max(at, now)
			}
			for id, at := range model {
				if w.Next() > at+Tick {
					t.Fatalf("seed %d: Next %d is more than a tick after deadline %d of %d", seed, w.Next(), at, id)
				}
				break
			}
		}
	}
}

func step(t *testing.T, w *Wheel, model map[uint32]clock.Time, now clock.Time, batch int, seed uint64) {
	t.Helper()
	for _, id := range fire(w, now, batch) {
		at, ok := model[id]
		if !ok {
			t.Fatalf("seed %d: %d fired without a deadline", seed, id)
		}
		if at > now {
			t.Fatalf("seed %d: %d fired %d ns early", seed, id, at-now)
		}
		delete(model, id)
	}
	for id, at := range model {
		if at+Tick <= now {
			t.Fatalf("seed %d: %d is still not due %d ns after its deadline", seed, id, now-at)
		}
		if d := w.Deadline(id); d != clock.Never && d-Tick >= max(at, 0) {
			t.Fatalf("seed %d: deadline of %d is %d, want at most %d and a tick", seed, id, d, at)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	const size = 1000
	w := New(size, 0)
	due := make([]uint32, 64)
	now := clock.Time(0)
	i := uint32(0)
	allocs := testing.AllocsPerRun(10000, func() {
		w.Set(i%size, now+clock.Time(i%500)*ms)
		w.Set((i*7)%size, now+40*ms)
		w.Cancel((i * 3) % size)
		now += ms / 3
		w.Advance(now, due)
		w.Next()
		i++
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

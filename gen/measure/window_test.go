package measure

import (
	"math/rand/v2"
	"testing"
)

// model is a window in the plainest way: it remembers every arrival.
type model struct {
	size     uint64
	arrivals []uint64
	came     map[uint64]bool
	highest  uint64
	lowest   uint64
}

func (m *model) find(n uint64) place {
	switch {
	case n > m.highest:
		return ahead
	case m.highest+1-n > m.size:
		return behind
	case m.came[n]:
		return seen
	}
	return gap
}

// take returns the extent of a number in a gap.
func (m *model) take(n uint64) (extent int) {
	for i, other := range m.arrivals {
		if other > n {
			extent = len(m.arrivals) - i
			break
		}
	}
	m.arrivals = append(m.arrivals, n)
	m.came[n] = true
	m.highest, m.lowest = max(m.highest, n), min(m.lowest, n)
	return extent
}

// run gives a window and its model the same sequence numbers, as steps from the highest, and compares them.
func run(t *testing.T, size int, start uint32, steps []int32) {
	var w window
	w.init(size)
	w.begin(start)
	m := model{size: uint64(size), came: make(map[uint64]bool), highest: w.next - 1, lowest: w.next}
	for i, step := range append([]int32{0}, steps...) {
		n := w.number(uint32(w.next) + uint32(step))
		if want := w.next + uint64(int64(step)); n != want {
			t.Fatalf("step %d: number %d, want %d", i, n, want)
		}
		where, want := w.find(n), m.find(n)
		if where != want {
			t.Fatalf("step %d of %v: number %d is found in place %d, want %d", i, steps, n-nearZero, where, want)
		}
		if where == seen || where == behind {
			continue
		}
		w.take(n)
		if extent := m.take(n); where == gap && int(w.extent) != extent {
			t.Fatalf("step %d of %v: extent %d, want %d", i, steps, w.extent, extent)
		}
		if lost, want := w.lost(), m.highest+1-m.lowest-uint64(len(m.arrivals)); lost != want {
			t.Fatalf("step %d of %v: lost %d, want %d", i, steps, lost, want)
		}
	}
}

func TestWindowAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		size := 64 << rng.IntN(3)
		steps := make([]int32, 1000)
		for i := range steps {
			switch rng.IntN(8) {
			case 0:
				steps[i] = -1 - rng.Int32N(int32(size)+20) // in the window, or just behind
			case 1:
				steps[i] = rng.Int32N(20)
			case 2:
				if rng.IntN(10) == 0 {
					steps[i] = rng.Int32N(3 * int32(size))
				}
			}
		}
		run(t, size, uint32(rng.Uint64()), steps)
		run(t, size, ^uint32(0)-uint32(rng.IntN(100)), steps) // the number wraps at once
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzWindow(f *testing.F) {
	f.Add(uint32(0), []byte{1, 0, 0, 255, 254, 3})
	f.Add(^uint32(0), []byte{0, 0, 0, 128, 0, 192, 127, 127})
	f.Fuzz(func(t *testing.T, start uint32, b []byte) {
		if len(b) > 4000 {
			return
		}
		steps := make([]int32, len(b))
		for i, c := range b {
			steps[i] = int32(int8(c))
		}
		run(t, 64, start, steps)
	})
}

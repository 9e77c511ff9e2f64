package clock

import (
	"testing"
	"time"
)

func TestArithmetic(t *testing.T) {
	a := Time(5 * time.Second)
	b := a.Add(1500 * time.Millisecond)
	if b.Sub(a) != 1500*time.Millisecond || a.Sub(b) != -1500*time.Millisecond {
		t.Errorf("differences %v %v", b.Sub(a), a.Sub(b))
	}
	if !a.Before(b) || b.Before(a) || a.Before(a) || !b.After(a) || a.After(b) || a.After(a) {
		t.Error("the order is wrong")
	}
	if !Never.After(a) || Never.Before(Never) {
		t.Error("Never is not the latest time")
	}
}

func TestMillisWraps(t *testing.T) {
	for at, want := range map[Time]uint32{
		0:                                     0,
		Time(time.Millisecond) - 1:            0,
		Time(time.Second):                     1000,
		Time(time.Millisecond) * (1<<32 - 1):  1<<32 - 1,
		Time(time.Millisecond) * (1 << 32):    0,
		Time(time.Millisecond)*(1<<32+7) + 99: 7,
	} {
		if got := at.Millis(); got != want {
			t.Errorf("Time(%d).Millis() = %d, want %d", at, got, want)
		}
	}
}

func TestNow(t *testing.T) {
	first := Now()
	if d := monotonic().Sub(first); first <= 0 || d < -time.Millisecond || d > time.Second {
		t.Errorf("the first reading is %d, %v before CLOCK_MONOTONIC", first, d)
	}
	last := first
	for last.Sub(first) < 2*time.Millisecond {
		now := Now()
		if now.Before(last) {
			t.Fatalf("the clock went from %d back to %d", last, now)
		}
		last = now
	}
	if allocs := testing.AllocsPerRun(100, func() { Now() }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

package limit

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

const start = clock.Time(time.Hour)

// takeAll returns how many tokens there are at now.
func takeAll(b *Bucket, now clock.Time) int {
	n := 0
	for b.Take(now) {
		n++
	}
	return n
}

func TestBurstThenRate(t *testing.T) {
	b := New(100, 10, 0)
	if n := takeAll(&b, start); n != 10 {
		t.Errorf("burst of %d, want 10", n)
	}
	steps := []struct {
		after time.Duration
		want  int
	}{{9 * time.Millisecond, 0}, {10 * time.Millisecond, 1}, {45 * time.Millisecond, 3}, {50 * time.Millisecond, 1}, {time.Hour, 10}}
	for _, s := range steps {
		if n := takeAll(&b, start.Add(s.after)); n != s.want {
			t.Errorf("after %v: %d tokens, want %d", s.after, n, s.want)
		}
	}
}

func TestTimeZeroAndBackwards(t *testing.T) {
	b := New(1, 1, 0)
	if !b.Take(0) {
		t.Error("no token at time zero")
	}
	if b.Take(start); b.Take(start.Add(-time.Minute)) {
		t.Error("a token for a time before the last one")
	}
	var none Bucket
	if none.Take(start) {
		t.Error("the zero Bucket has a token")
	}
}

func TestRandomKeepsTheMean(t *testing.T) {
	b := New(1000, 50, 42)
	n := 0
	for ms := range 10_000 {
		n += takeAll(&b, start.Add(time.Duration(ms)*time.Millisecond))
	}
	if n < 9_700 || n > 10_350 {
		t.Errorf("%d tokens in 10 s, want about 10050", n)
	}
	bursts := map[int]bool{}
	for i := range 100 {
		bursts[takeAll(&b, start.Add(time.Duration(i+1)*time.Hour))] = true
	}
	if len(bursts) < 3 {
		t.Errorf("bursts can be foretold: %v", bursts)
	}
}

func TestNoAllocation(t *testing.T) {
	b := New(1000, 50, 42)
	now := start
	if n := testing.AllocsPerRun(100, func() { now = now.Add(time.Millisecond); b.Take(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package rate

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// offsets is a Timeline of given times.
type offsets []time.Duration

func (o *offsets) At() (time.Duration, bool) {
	if len(*o) == 0 {
		return 0, false
	}
	return (*o)[0], true
}

func TestReplay(t *testing.T) {
	times := &offsets{0, time.Millisecond, time.Millisecond, 5 * time.Millisecond}
	r := NewReplay(times, 0)
	r.Start(begin)
	send := func(now clock.Time) (n int) {
		for r.Due(now) > 0 {
			*times = (*times)[1:]
			r.Sent(1, 60)
			n++
		}
		return n
	}
	if n := send(begin - 1); n != 0 {
		t.Errorf("%d packets before the start", n)
	}
	if n := send(begin); n != 1 || r.Next() != begin.Add(time.Millisecond) {
		t.Errorf("%d packets at the start, the next after %v", n, r.Next().Sub(begin))
	}
	if n := send(begin.Add(2 * time.Millisecond)); n != 2 || r.Over(begin.Add(2*time.Millisecond)) {
		t.Errorf("%d packets after 2 ms", n)
	}
	// 195 ms late: 100 are made up for, and the rest puts off what follows.
	if n := send(begin.Add(200 * time.Millisecond)); n != 1 || r.Slipped() != 95*time.Millisecond {
		t.Errorf("%d packets after 200 ms, and a delay of %v", n, r.Slipped())
	}
	if now := begin.Add(200 * time.Millisecond); !r.Over(now) || r.Next() > now {
		t.Error("it is not over after the last packet")
	}
}

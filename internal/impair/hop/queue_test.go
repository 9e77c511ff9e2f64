package hop

import (
	"math/rand/v2"
	"testing"

	"github.com/xdpstack/xdpstack/internal/clock"
)

func TestQueueOrder(t *testing.T) {
	q := queue{room: 2000}
	r := rand.New(rand.NewPCG(1, 0))
	for i := range 2000 {
		b := q.buffer(2)
		b[0], b[1] = byte(i>>8), byte(i)
		q.push(clock.Time(1+r.IntN(50)), b) // many leave at the same time
	}
	if q.buffer(1) != nil {
		t.Error("there was room for more than there may be")
	}
	last, lastN := clock.Time(0), 0
	for q.next() != clock.Never {
		at := q.next()
		b := q.pop()
		n := int(b[0])<<8 | int(b[1])
		if at < last || (at == last && n < lastN) {
			t.Fatalf("frame %d of %d leaves after frame %d of %d", n, at, lastN, last)
		}
		last, lastN = at, n
		q.recycle(b)
	}
	if b := q.buffer(maxFrame); len(b) != maxFrame || len(q.free) != 1999 {
		t.Errorf("%d buffers are free", len(q.free))
	}
}

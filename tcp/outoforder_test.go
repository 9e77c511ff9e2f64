package tcp

import "testing"

// scattered is a connection that holds n segments of one byte behind a hole, each behind a hole of its own, two bytes apart from 3 on.
func scattered(t testing.TB, n uint32) *script {
	t.Helper()
	s := established(t, scriptOptions{cfg: Config{RecvBuffer: 8 << 20}, wscale: 10, sack: true, frames: int(3*n + 64)})
	for i := range n {
		s.inject(seg{flags: fA, seq: 3 + 2*i, ack: 1, len: 1})
		s.drain(1)
	}
	if got := s.c.Info().OutOfOrder; got != int(n) {
		t.Fatalf("%d segments are kept, want %d", got, n)
	}
	return s
}

// TestOutOfOrderWorkIsBounded has segments that jump about in a long queue of tiny ones be dropped rather than have it walked for each,
// and get their place all the same when they are sent again.
func TestOutOfOrderWorkIsBounded(t *testing.T) {
	const n = 2000
	s := scattered(t, n)
	at := func(i uint32) seg { return seg{flags: fA, seq: 4 + 2*i, ack: 1, len: 1} }
	for i := range uint32(20) {
		s.inject(at(n/4+i), at(3*n/4-i))
		s.drain(2)
	}
	dropped := s.k.Stats.DropOutOfOrderWork
	if dropped < 10 || s.k.Stats.OutOfOrder != n+40-dropped {
		t.Errorf("%d segments were dropped, %d kept", dropped, s.k.Stats.OutOfOrder)
	}
	for range 20 { // one that is honest, and sent again
		s.inject(at(n / 2))
		s.drain(2)
	}
	if got := s.k.Stats.DropOutOfOrderWork; got > dropped+n/2/placeWork {
		t.Errorf("%d more were dropped before the place of one was found", got-dropped)
	}
	dropped = s.k.Stats.DropOutOfOrderWork
	for i := range uint32(200) { // and what follows it has its place beside it
		s.inject(at(n/2 + 1 + i))
		s.drain(2)
	}
	if got := s.k.Stats.DropOutOfOrderWork; got != dropped {
		t.Errorf("%d were dropped although they lie beside each other", got-dropped)
	}
	if err := checkInvariants(s.c); err != nil {
		t.Error(err)
	}
	for i := range uint32(n) { // The holes are filled from the front on, as a sender does.
		s.inject(seg{flags: fA, seq: 2 + 2*i, ack: 1, len: 1})
		s.drain(2)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 1})
	s.drain(2)
	s.wantRead(2*n + 1)
}

// TestOutOfOrderDescending has a peer's segments that come in the opposite order all be kept.
func TestOutOfOrderDescending(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{RecvBuffer: 1 << 20}, wscale: 7, sack: true})
	for i := uint32(500); i > 0; i-- {
		s.inject(seg{flags: fA, seq: 1 + i*100, ack: 1, len: 100})
		s.drain(1)
	}
	s.inject(seg{flags: fA, seq: 1, ack: 1, len: 100})
	s.wantRead(501 * 100)
	if st := s.k.Stats; st.DropOutOfOrderWork != 0 {
		t.Errorf("%d segments were dropped", st.DropOutOfOrderWork)
	}
}

// BenchmarkOutOfOrderAttack puts segments where a queue of 4,000 tiny ones is farthest from the places that are known (the attack that was
// called SegmentSmack): what one of them costs must not depend on the length of the queue.
func BenchmarkOutOfOrderAttack(b *testing.B) {
	const n = 4000
	s := scattered(b, n)
	i := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		at := n/4 + i*7%64
		if i&1 != 0 {
			at += n / 2
		}
		s.enqueue(seg{flags: fA, seq: 3 + 2*at, ack: 1, len: 1})
		s.c.Process(s.now)
		s.c.rcv.dupACKs = 0
	}
}

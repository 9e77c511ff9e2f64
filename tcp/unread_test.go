package tcp

import (
	"testing"
	"time"
)

// TestUnreadIsBounded has a connection that leaves too much unread get no more, though its window has room, until it has read.
func TestUnreadIsBounded(t *testing.T) {
	s := established(t, scriptOptions{})
	s.k.MaxUnread = 3000
	for i := range uint32(3) {
		s.inject(seg{flags: fA, seq: 1 + 1000*i, ack: 1, len: 1000})
	}
	s.advance(50 * time.Millisecond)
	for _, ok := s.pull(); ok; _, ok = s.pull() {
	}
	s.inject(seg{flags: fA | FlagFIN, seq: 3001, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 3001})
	if n := s.k.Stats.DropMemory; n != 1 {
		t.Fatalf("%d segments were dropped for lack of memory, want 1", n)
	}
	s.wantRead(3000)
	for _, ok := s.pull(); ok; _, ok = s.pull() {
	}
	s.inject(seg{flags: fA | FlagFIN, seq: 3001, ack: 1, len: 1000})
	s.want(seg{flags: fA, seq: 1, ack: 4002})
	s.wantState(StateCloseWait)
	s.wantRead(1000)
}

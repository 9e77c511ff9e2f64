package iperf3

import (
	"math"
	"sync/atomic"
)

// limit ends a test after so many bytes (-n, -k). The streams share it, whatever shards they are on: a sender takes a block at a time.
type limit struct {
	bytes   int64
	left    atomic.Int64 // what senders may still take
	writing atomic.Int64 // blocks that were taken and are not written in full
	got     atomic.Int64 // what receivers have
	armed   atomic.Bool  // the omitted time is over
	parts   atomic.Int32 // directions that have not reached the limit
	sent    atomic.Bool
	taken   atomic.Bool
	reached chan struct{} // closed when all directions have reached it
}

func (l *limit) init(p *Params) {
	l.bytes = p.limit()
	l.reached = make(chan struct{})
	l.left.Store(math.MaxInt64 / 2)
	if p.Omit == 0 {
		l.armed.Store(true)
		l.left.Store(l.bytes)
	}
	l.parts.Store(1)
	if p.Bidirectional {
		l.parts.Store(2)
	}
}

// restart begins to count, after the omitted time. A server goes on sending then until the client, whose measurement began at another
// moment, has enough.
func (l *limit) restart(p *Params, client bool) {
	if client {
		l.left.Store(p.limit())
	}
	l.got.Store(0)
	l.armed.Store(true)
}

// take gives a sender its next block, or what is left of it all, in bytes; 0 if nothing is.
func (l *limit) take(n int) int {
	if l.left.Load() <= 0 {
		return 0
	}
	l.writing.Add(1)
	if left := l.left.Add(-int64(n)); left < 0 {
		n = max(n+int(left), 0)
	}
	if n == 0 {
		l.wrote()
	}
	return n
}

// wrote notes that a block was written in full.
func (l *limit) wrote() {
	if l.writing.Add(-1) == 0 && l.left.Load() <= 0 && !l.sent.Swap(true) {
		l.done()
	}
}

// received notes bytes received.
func (l *limit) received(n int) {
	if l.got.Add(int64(n)) >= l.bytes && l.armed.Load() && !l.taken.Swap(true) {
		l.done()
	}
}

func (l *limit) done() {
	if l.parts.Add(-1) == 0 {
		close(l.reached)
	}
}

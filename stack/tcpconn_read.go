package stack

import (
	"errors"
	"io"
	"sync"

	"github.com/xdpstack/xdpstack/frame"
)

// inbound is the way of received payload from the shard to Read.
//
//	shard ──► received, copies ──► reading, copied ──► Read ──► spent ──► returned ──► shard
//
// What the shard and the reader share is guarded by mu; each has the rest for itself, so that nobody waits while bytes are
// copied. The lists are of frames, whose records give the ranges that are not read.
type inbound struct {
	side
	received      frame.List // what Read has not seen yet
	copies        []byte     // what follows it: payload copied out of frames when those were scarce
	returned      frame.List // what Read is done with
	returnedBytes uint32     // bytes read since the shard last let the window open
	promised      uint32     // bytes that the peer may send beyond what was given back, when the shard last said
	eof           bool       // nothing follows

	turn    sync.Mutex // one reader at a time; guards what follows
	reading frame.List // what Read takes from
	copied  []byte     // and then from this
	spent   frame.List
	credit  uint32 // bytes read and not given back as window
	share   uint32 // of bytes read that is worth to be given back while there is more to read: a quarter of promised
}

func (in *inbound) init() {
	in.side.init()
	in.received.Init()
	in.returned.Init()
	in.reading.Init()
	in.spent.Init()
}

// Read reads what has arrived, waiting for the first byte (net.Conn).
func (t *TCPConn) Read(p []byte) (int, error) {
	t.in.turn.Lock()
	defer t.in.turn.Unlock()
	if err := t.awaitData(len(p) > 0); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, err
		}
		return 0, t.opError("read", err)
	}
	n := t.take(p)
	if t.in.credit >= t.in.share {
		t.giveBack()
	}
	return n, nil
}

// awaitData returns once there is something to read, or at once if nothing is wanted. The caller has the turn.
func (t *TCPConn) awaitData(wanted bool) error {
	in := &t.in
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		if err := in.refusal(); err != nil || !wanted {
			return err
		}
		if in.fetch() {
			return nil
		}
		if in.err != nil {
			return in.err
		}
		if in.eof {
			return io.EOF
		}
		// Before it sleeps, a reader settles with the shard. That may wait for the shard, which must not wait for mu meanwhile.
		if in.credit > 0 || t.held.Load() {
			in.mu.Unlock()
			t.giveBack()
			if t.held.Swap(false) {
				t.ask(askSYN) // There will be nothing to read otherwise.
			}
			in.mu.Lock()
			continue
		}
		in.changed.Wait()
	}
}

// fetch gets what the shard has handed over since, if everything before was read, and reports whether there is anything to read.
// The caller has the turn and holds mu.
func (in *inbound) fetch() bool {
	if in.reading.Empty() && len(in.copied) == 0 {
		in.share = in.promised / 4
		in.reading, in.copied, in.copies = in.received, in.copies, nil
		in.received.Init()
	}
	return !in.reading.Empty() || len(in.copied) > 0
}

// take copies from what is being read. The caller has the turn.
func (t *TCPConn) take(p []byte) int {
	in, pool := &t.in, t.shard.pool
	n := 0
	for n < len(p) && !in.reading.Empty() {
		f := in.reading.Front()
		k := copy(p[n:], pool.Data(f))
		n += k
		if m := pool.Meta(f); uint32(k) < m.Len {
			m.Off += uint32(k)
			m.Len -= uint32(k)
			break
		}
		in.spent.PushBack(pool, in.reading.PopFront(pool))
	}
	if n < len(p) && len(in.copied) > 0 {
		k := copy(p[n:], in.copied)
		n += k
		if in.copied = in.copied[k:]; len(in.copied) == 0 {
			in.copied = nil
		}
	}
	in.credit += uint32(n)
	return n
}

// giveBack returns read frames to the shard and lets the window open. While the reader is busy, it waits for a share of what the
// peer may send to come together; before it sleeps, it gives back what there is, but wakes a sleeping shard only for such a
// share: with less, the peer still has most of its window. The caller has the turn.
func (t *TCPConn) giveBack() {
	in := &t.in
	if in.credit == 0 {
		return
	}
	in.mu.Lock()
	in.returned.Append(t.shard.pool, &in.spent)
	in.returnedBytes += in.credit
	in.credit = 0
	wake := in.returnedBytes >= in.promised/4
	in.mu.Unlock()
	if wake {
		t.ask(askCredit)
	} else {
		t.ask(askCreditLazily)
	}
}

// discard gives up what was not read and reports whether there was any. The caller has the turn.
func (t *TCPConn) discard() bool {
	in, pool := &t.in, t.shard.pool
	in.mu.Lock()
	defer in.mu.Unlock()
	unread := !in.received.Empty() || len(in.copies) > 0 || !in.reading.Empty() || len(in.copied) > 0
	in.returned.Append(pool, &in.received)
	in.returned.Append(pool, &in.reading)
	in.returned.Append(pool, &in.spent)
	in.copies, in.copied = nil, nil
	return unread
}

package stack

import (
	"io"
	"math"
)

// splice passes what one net.Conn receives to another of the same shard, on the shard: frames are queued to be sent as they came
// in. The application's goroutine waits for its end, with the turns of the reader and of the writer. While the writer's
// connection has no room, what comes in stays unread and closes the window of the reader's peer.
type splice struct {
	from, to *TCPConn
	watch    chan struct{} // a token comes when something is to be looked at

	// What follows is guarded by from.in.mu, and only the shard changes it.
	left  int64 // bytes that may still be passed on
	moved int64 // bytes that were
	over  bool  // the limit or the end of what comes in was reached
	err   error // why that ended, if not in order
}

// WriteTo passes on what is received until the peer has sent everything (io.WriterTo, for io.Copy). Where w is a TCPConn of the
// same shard, the bytes stay where they are.
func (t *TCPConn) WriteTo(w io.Writer) (int64, error) { return t.copyTo(w, math.MaxInt64) }

// ReadFrom sends all that r has (io.ReaderFrom, for io.Copy). Where r is a TCPConn of the same shard, or an io.LimitedReader on
// one, the bytes stay where they are.
func (t *TCPConn) ReadFrom(r io.Reader) (int64, error) {
	switch from := r.(type) {
	case *TCPConn:
		return from.copyTo(t, math.MaxInt64)
	case *io.LimitedReader:
		if c, ok := from.R.(*TCPConn); ok && c.shard == t.shard {
			n, err := c.copyTo(t, max(from.N, 0))
			from.N -= n
			return n, err
		}
	}
	return t.shard.stack.copy(t, r)
}

// copyTo passes on what is received, at most limit bytes of it.
func (t *TCPConn) copyTo(w io.Writer, limit int64) (int64, error) {
	if to, ok := w.(*TCPConn); ok && to.shard == t.shard {
		return t.spliceTo(to, limit)
	}
	return t.shard.stack.copy(w, onlyReader{t})
}

// onlyReader hides WriteTo from io.CopyBuffer, and onlyWriter ReadFrom.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// copyBuffer is how many bytes are copied at a time where that is needed: as many as io.Copy does.
const copyBuffer = 32 << 10

// copy is io.Copy with a buffer that the stack keeps.
func (s *Stack) copy(w io.Writer, r io.Reader) (int64, error) {
	b, ok := s.copyBuffers.Get().(*[copyBuffer]byte)
	if !ok {
		b = new([copyBuffer]byte)
	}
	defer s.copyBuffers.Put(b)
	return io.CopyBuffer(onlyWriter{w}, onlyReader{r}, b[:])
}

func (t *TCPConn) spliceTo(to *TCPConn, limit int64) (int64, error) {
	t.in.turn.Lock()
	defer t.in.turn.Unlock()
	to.out.turn.Lock()
	defer to.out.turn.Unlock()
	p := &splice{from: t, to: to, watch: make(chan struct{}, 1), left: limit}
	t.giveBack()
	t.in.watched(p.watch)
	to.out.watched(p.watch)
	t.shard.call(func(*Shard) { p.start() })
	err := p.wait()
	t.shard.call(func(*Shard) { p.stop() })
	t.in.watched(nil)
	to.out.watched(nil)
	return p.moved, err
}

// wait returns when everything was passed on, with nil, or when one of the connections cannot go on.
func (p *splice) wait() error {
	for {
		if over, err := p.look(); over {
			return err
		}
		<-p.watch
	}
}

// look reports whether the splice is over, and why.
func (p *splice) look() (over bool, err error) {
	in, out := &p.from.in, &p.to.out
	in.mu.Lock()
	over, err = p.over, p.err
	if !over {
		err = in.refusal()
	}
	in.mu.Unlock()
	if err != nil {
		return true, p.from.opError("read", err)
	}
	if over {
		return true, nil
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if err = out.obstacle(); err != nil {
		return true, p.to.opError("write", err)
	}
	return false, nil
}

// What follows runs on the shard. The goroutine that waits has the turns, and leaves what they guard to it.

func (p *splice) start() {
	p.from.from, p.to.to = p, p
	if c := p.from.conn; c != nil && p.from.held.Swap(false) {
		c.tcp.SendSYNSoon(p.from.shard.now) // There will be nothing to read otherwise.
		c.shard.schedule(c)
	}
	p.pump()
}

func (p *splice) stop() {
	p.from.from, p.to.to = nil, nil
	p.to.push() // so that Write learns how much room is left
}

// pump passes on what there is, as far as there is room for it.
func (p *splice) pump() {
	if p.to.push(); !p.to.ready() {
		return
	}
	in, c := &p.from.in, p.to.conn
	in.mu.Lock()
	before := p.moved
	for p.left > 0 && in.fetch() {
		if in.reading.Empty() {
			n := c.Write(in.copied[:min(int64(len(in.copied)), p.left)])
			in.copied = in.copied[n:]
			p.note(n)
			if len(in.copied) > 0 {
				break
			}
		} else if !p.passFrame(c) {
			break
		}
	}
	n := p.moved - before
	if p.left == 0 || !in.fetch() && (in.eof || in.err != nil) {
		p.over = true
		if p.left > 0 {
			p.err = in.err
		}
		signal(p.watch)
		p.from.shard.woke = true
	}
	in.mu.Unlock()
	c.shard.schedule(c)
	if from := p.from.conn; from != nil && n > 0 {
		from.tcp.Consumed(uint32(n))
		from.shard.schedule(from)
	}
}

// passFrame passes on the first frame, or what the limit leaves of it, and reports whether there may be room for another.
func (p *splice) passFrame(c *Conn) bool {
	in, pool := &p.from.in, c.shard.pool
	f := in.reading.PopFront(pool)
	m := pool.Meta(f)
	size := m.Len
	if int64(size) <= p.left {
		if c.tcp.WriteFrame(f) {
			p.note(int(size))
			return true
		}
		in.reading.PushFront(pool, f)
		return false
	}
	n := c.Write(pool.Data(f)[:p.left])
	m.Off += uint32(n)
	m.Len -= uint32(n)
	in.reading.PushFront(pool, f)
	p.note(n)
	return p.left > 0 && n > 0
}

func (p *splice) note(n int) {
	p.left -= int64(n)
	p.moved += int64(n)
}

// ready reports whether what is written now goes behind all that was written before.
func (t *TCPConn) ready() bool {
	t.out.mu.Lock()
	defer t.out.mu.Unlock()
	return t.conn != nil && t.out.buffer == nil && t.out.obstacle() == nil
}

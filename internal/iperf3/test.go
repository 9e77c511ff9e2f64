package iperf3

import (
	"crypto/rand"
	"sync"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/stack"
)

// test is one test at one end.
type test struct {
	stack  *stack.Stack
	params Params
	client bool
	block  []byte // what is sent

	limited bool // the test ends after so many bytes, not after a time
	limit   limit

	mu      sync.Mutex
	want    int
	streams []*stream // fixed once all are there
	openErr error
	ended   error // why a stream ended before it should
	over    bool  // streams may end

	opens  chan struct{} // has an entry after a stream was opened, or not
	failed chan struct{} // closed when a stream ended before it should

	start clock.Time
	cpu   cpuTime
}

// newTest makes a test. The payload is random, so that nothing on the way can compress it; one block serves every stream.
func newTest(st *stack.Stack, p Params, client bool) *test {
	t := &test{stack: st, params: p, client: client, opens: make(chan struct{}, 1), failed: make(chan struct{})}
	t.block = make([]byte, p.Len)
	rand.Read(t.block) // never fails
	up, down := p.roles()
	t.want = up + down
	t.limited = p.limit() > 0
	t.limit.init(&p)
	return t
}

// configure sets a connection's options as the test has them, on its shard. What a connection does not take, it is without, as the
// parameters were checked before.
func (t *test) configure(c *stack.Conn) {
	p := &t.params
	c.SetNoDelay(bool(p.NoDelay))
	if p.Congestion != "" {
		_ = c.SetCongestion(p.Congestion) // the name is a known one
	}
	if p.Window > 0 {
		c.SetSendBuffer(uint32(p.Window))
		c.SetRecvBuffer(uint32(p.Window))
	}
	if p.MSS > 0 {
		_ = c.SetMaxSegment(uint16(p.MSS)) // what is too large changes nothing
	}
	if p.TOS > 0 {
		c.SetTOS(uint8(p.TOS))
	}
	if p.FQRate > 0 {
		rate := max(uint64(p.FQRate)/8, 1)
		c.SetMaxPacingRate(rate)
		c.SetNotSentLowat(uint32(min(max(rate/100, 16<<10), 1<<20))) // what is written is what was sent, but for 10 ms
	}
}

// join adds the next stream, and reports whether it was wanted.
func (t *test) join(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.streams) == t.want || t.over {
		return false
	}
	up, _ := t.params.roles()
	s.test, s.n = t, len(t.streams)
	s.sender = (s.n < up) == t.client
	t.streams = append(t.streams, s)
	return true
}

// opened is told that a stream is ready, or could not be opened. It reports false if nobody needs it any more.
func (t *test) opened(s *stream, shard *stack.Shard, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.shard = shard
	if t.openErr == nil {
		t.openErr = err
	}
	select {
	case t.opens <- struct{}{}:
	default:
	}
	return !t.over
}

// opening returns how many streams are ready, and why one could not be opened.
func (t *test) opening() (ready int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		if s.shard != nil {
			ready++
		}
	}
	return ready, t.openErr
}

// lost is told that a stream has ended.
func (t *test) lost(s *stream, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over && t.ended == nil {
		t.ended = &streamError{sender: s.sender, err: err}
		close(t.failed)
	}
}

// finish says that streams may end from now on, and returns why one did before.
func (t *test) finish() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.ended
}

// each calls f for each stream on its shard, one shard after the other.
func (t *test) each(f func(s *stream)) error {
	return t.shards(func(_ *stack.Shard, streams []*stream) {
		for _, s := range streams {
			f(s)
		}
	})
}

// shards calls f on each shard that has streams, with these.
func (t *test) shards(f func(shard *stack.Shard, streams []*stream)) error {
	on := make(map[*stack.Shard][]*stream)
	t.mu.Lock()
	for _, s := range t.streams {
		if s.shard != nil {
			on[s.shard] = append(on[s.shard], s)
		}
	}
	t.mu.Unlock()
	for shard, streams := range on {
		if err := shard.Do(func(sh *stack.Shard) { f(sh, streams) }); err != nil {
			if gone := t.stack.Err(); gone != nil {
				err = gone
			}
			return err
		}
	}
	return nil
}

// begin starts the test, and the measurement if nothing is omitted.
func (t *test) begin() error {
	t.start, t.cpu = clock.Now(), readCPU()
	return t.shards(func(shard *stack.Shard, streams []*stream) {
		for _, s := range streams {
			s.begin()
		}
		if t.params.Bandwidth > 0 {
			shard.SetOnTurn(pacer(streams))
		}
	})
}

// restart starts the measurement after the omitted time.
func (t *test) restart() error {
	t.limit.restart(&t.params, t.client)
	t.start, t.cpu = clock.Now(), readCPU()
	return t.each((*stream).rebase)
}

// samples looks at every stream.
func (t *test) samples() ([]sample, clock.Time, error) {
	out := make([]sample, len(t.streams))
	err := t.each(func(s *stream) { out[s.n] = s.sample() })
	return out, clock.Now(), err
}

// stop ends the test. With draining, what was sent before and comes later still counts.
func (t *test) stop(draining bool) error {
	return t.each(func(s *stream) { s.stop(draining) })
}

// missing compares what receivers have with what their senders say they have sent: how many streams are without some of it, how many
// bytes there are, and when the last of them came.
func (t *test) missing(samples []sample, sent *Results) (streams int, bytes uint64, last clock.Time) {
	for i, m := range samples {
		if t.streams[i].sender {
			continue
		}
		r, ok := sent.stream(streamID(i))
		if ok && !m.ended && m.bytes < uint64(max(r.Bytes, 0)) {
			streams++
		}
		bytes += m.bytes
		last = max(last, m.last)
	}
	return streams, bytes, last
}

// close ends the streams.
func (t *test) close(reset bool) {
	_ = t.finish()
	_ = t.each(func(s *stream) { s.close(reset) }) // where it fails, the stack has gone, and its connections with it
}

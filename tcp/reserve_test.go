package tcp

import (
	"testing"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/checksum"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// reserve has the application write n bytes into what it reserves, and commit them.
func (s *script) reserve(ask, n int) []byte {
	s.t.Helper()
	b := s.c.Reserve(ask)
	if len(b) < n {
		s.t.Fatalf("%d bytes were reserved, want %d", len(b), n)
	}
	for i := range b[:n] {
		b[i] = pattern(1 + s.wrote + uint32(i))
	}
	if !s.c.Commit(n) {
		s.t.Fatalf("Commit(%d) of %d bytes failed", n, len(b))
	}
	s.wrote += uint32(n)
	return b
}

// wantSum checks the sum that goes with a segment's payload.
func (s *script) wantSum(o *OutSegment) {
	s.t.Helper()
	b := s.k.Pool.Bytes(frame.Desc{Frame: o.Frame, Off: o.Off, Len: o.Len})
	if want := checksum.Fold(checksum.Sum(b, 0)); o.Sum == 0 || want != o.Sum && want != 0 {
		s.t.Errorf("%d bytes of payload go with the sum %#x, want %#x", len(b), o.Sum, want)
	}
}

// TestReserveSendsInPlace has a segment leave from the memory that the application wrote into.
func TestReserveSendsInPlace(t *testing.T) {
	s := established(t, scriptOptions{})
	b := s.reserve(10_000, 1460)
	if len(b) != 1460 || cap(b) != 1460 {
		t.Errorf("reserved %d bytes with a capacity of %d, want a segment's 1460", len(b), cap(b))
	}
	o := s.want(seg{flags: fA, seq: 1, len: 1460, ack: 1})
	if &s.k.Pool.Chunk(o.Frame)[o.Off] != &b[0] {
		t.Error("the payload was copied")
	}
	s.wantSum(&o)
	s.inject(seg{flags: fA, seq: 1, ack: 1461})
}

// TestReserveJoins has small pieces fill up the last frame, whichever way they come in.
func TestReserveJoins(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{NoDelay: true}})
	held := s.k.Pool.Account().Held
	s.reserve(100, 99)    // a frame of its own
	s.reserve(300, 300)   // the rest of that
	s.reserve(5000, 101)  // another frame, from which it moves
	s.write(7)            // behind it
	s.reserve(2000, 1000) // too much for the rest
	if n := s.k.Pool.Account().Held - held; n != 2 {
		t.Errorf("%d frames are used, want 2", n)
	}
	o := s.want(seg{flags: fA, seq: 1, len: 507, ack: 1})
	s.wantSum(&o)
	o = s.want(seg{flags: fA, seq: 508, len: 1000, ack: 1})
	s.wantSum(&o)
	s.wantNothing()
}

// TestReserveWithoutCommit leaks nothing, whatever comes after it.
func TestReserveWithoutCommit(t *testing.T) {
	for name, next := range map[string]func(s *script){
		"a batch":   func(s *script) { s.k.BeginBatch(s.now) },
		"a Write":   func(s *script) { s.c.Write([]byte{pattern(1)}) },
		"a Reserve": func(s *script) { s.c.Reserve(10); s.k.Unreserve() },
		"Commit 0":  func(s *script) { s.c.Commit(0) },
		"an abort":  func(s *script) { s.c.Abort(s.now); s.k.Unreserve() },
		"a close":   func(s *script) { s.c.Close(s.now); s.c.Commit(5); s.k.Unreserve() },
	} {
		s := established(t, scriptOptions{})
		held := s.k.Pool.Account().Held
		if s.c.Reserve(1000) == nil {
			t.Fatal("nothing was reserved")
		}
		next(s)
		if name == "a Write" {
			s.want(seg{flags: fA, seq: 1, len: 1, ack: 1})
			held++
		}
		if n := s.k.Pool.Account().Held; n != held {
			t.Errorf("after %s: %d frames are held, want %d", name, n, held)
		}
		if s.c.Commit(1) {
			t.Errorf("after %s: Commit of what was reserved before succeeded", name)
		}
	}
}

func TestCommitOfWhatIsNotReserved(t *testing.T) {
	s := established(t, scriptOptions{})
	var closed Conn
	if s.c.Commit(0) || s.c.Commit(1) || closed.Commit(1) || closed.Reserve(1) != nil {
		t.Error("Commit without Reserve succeeded")
	}
	s.c.Reserve(10)
	if s.c.Commit(11) || s.c.Commit(-1) || closed.Commit(1) {
		t.Error("Commit of more than was reserved succeeded")
	}
	if s.c.Reserve(0) != nil || s.c.Reserve(-1) != nil {
		t.Error("nothing was asked for, and something reserved")
	}
	s.wantNothing()
}

// TestReserveWaitsForRoom has a full send buffer, and an empty pool, hold an application that reserves back as one that writes.
func TestReserveWaitsForRoom(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{SendBuffer: 2000}})
	s.reserve(2000, 1460)
	s.reserve(2000, 540)
	if s.c.Reserve(1) != nil {
		t.Fatal("there is room beyond the send buffer")
	}
	s.want(seg{flags: fA, seq: 1, len: 1460, ack: 1})
	s.wantNothing()
	s.events = 0
	s.inject(seg{flags: fA, seq: 1, ack: 1461})
	s.wantEvents(EventWritable)

	s = established(t, scriptOptions{})
	var taken []frame.Index
	for f := s.k.Pool.Alloc(); f != frame.None; f = s.k.Pool.Alloc() {
		taken = append(taken, f)
	}
	if s.c.Reserve(1) != nil {
		t.Error("a frame was reserved of an empty pool")
	}
	for _, f := range taken {
		s.k.Pool.Release(f)
	}
	s.events = 0
	s.advance(poolRetry)
	s.wantEvents(EventWritable)
}

// TestReserveAndCommitAllocate are a batch of segments written in place, and their ACK.
func TestReserveAndCommitAllocate(t *testing.T) {
	a, b, now := establishedPair(t, Config{})
	var o OutSegment
	if n := testing.AllocsPerRun(200, func() {
		now += clock.Time(ms)
		for range 8 {
			a.Commit(len(a.Reserve(1448)))
		}
		bulkTurn(a, b, now, &o, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// received makes a frame as a connection has it that has received n bytes of the stream from at on.
func (s *script) received(at uint32, n, off uint32) frame.Index {
	f := s.k.Pool.Alloc()
	m := s.k.Pool.Meta(f)
	m.Off, m.Len, m.Flags, m.Seq = off, n, MetaCE, 12345
	for i := range n {
		s.k.Pool.Chunk(f)[off+i] = pattern(at + i)
	}
	return f
}

// TestWriteFrame has received frames be sent as they are, or copied where that cannot be.
func TestWriteFrame(t *testing.T) {
	for _, c := range []struct {
		name   string
		n, off uint32
		twice  bool
		same   bool
	}{
		{"as it is", 1460, 310, false, true},
		{"headers just fit", 1460, headroom, false, true},
		{"no room for headers", 1460, headroom - 1, false, false},
		{"more than a frame with headers", chunkSize - 54, 54, false, false},
		{"for the second time", 1460, 310, true, false},
		{"short, and nothing to join", 10, 310, false, true},
	} {
		s := established(t, scriptOptions{cfg: Config{NoDelay: true}})
		f := s.received(1, c.n, c.off)
		at := uint32(1)
		if c.twice {
			s.k.Pool.Retain(f)
			if !s.c.WriteFrame(f) {
				t.Fatal("refused")
			}
			s.want(seg{flags: fA, seq: 1, len: c.n, ack: 1})
			at += c.n
			for i := range c.n {
				s.k.Pool.Data(f)[i] = pattern(at + i)
			}
			s.inject(seg{flags: fA, seq: 1, ack: at})
		}
		if !s.c.WriteFrame(f) {
			t.Fatalf("%s: refused", c.name)
		}
		n := min(c.n, 1460)
		if o := s.want(seg{flags: fA, seq: at, len: n, ack: 1}); n == c.n && (o.Frame == f) != c.same {
			t.Errorf("%s: sent from frame %d, received in %d", c.name, o.Frame, f)
		}
		if c.n > n {
			s.drain(2)
		}
		s.inject(seg{flags: fA, seq: 1, ack: at + c.n})
		if n := s.c.snd.queue.Len(); n != 0 {
			t.Errorf("%s: %d frames are left in the send queue", c.name, n)
		}
	}
}

// TestWriteWhole takes all of what is written, in as many segments as it needs, or nothing: beyond the send buffer, or when frames are scarce.
func TestWriteWhole(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000, cfg: Config{SendBuffer: 8000, NoDelay: true, InitialWindow: 10}})
	message := make([]byte, 3500)
	for i := range message {
		message[i] = pattern(1 + uint32(i))
	}
	if !s.c.WriteWhole(message) {
		t.Fatal("refused")
	}
	for _, at := range []uint32{1, 1001, 2001} {
		s.want(seg{flags: fA, seq: at, len: 1000, ack: 1})
	}
	s.drain(1)
	if s.c.WriteWhole(make([]byte, 4501)) || s.c.Room() != 4500 {
		t.Errorf("taken beyond the send buffer, which has room for %d", s.c.Room())
	}
	s.events = 0
	s.inject(seg{flags: fA, seq: 1, ack: 3501})
	s.wantEvents(EventWritable)
	var held []frame.Index
	for s.k.mayHold(2) {
		held = append(held, s.k.Pool.Alloc())
	}
	if s.c.WriteWhole(make([]byte, 3001)) {
		t.Error("taken although there are too few frames")
	}
	if n := s.c.snd.queue.Len(); n != 0 {
		t.Errorf("%d frames are in the send queue", n)
	}
	for _, f := range held {
		s.k.Pool.Release(f)
	}
	s.c.CloseWrite(s.now)
	if s.c.WriteWhole([]byte("late")) {
		t.Error("taken after the FIN")
	}
}

// TestWriteFrameJoins has short frames be copied behind what waits.
func TestWriteFrameJoins(t *testing.T) {
	s := established(t, scriptOptions{})
	s.c.SetCork(true)
	for i := range uint32(10) {
		if !s.c.WriteFrame(s.received(1+i*100, 100, 310)) {
			t.Fatal("refused")
		}
	}
	if n := s.c.snd.queue.Len(); n != 1 {
		t.Errorf("%d frames are in the send queue, want 1", n)
	}
	s.c.SetCork(false)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
}

// TestWriteFrameIsRefused where there is no room: the caller keeps the frame.
func TestWriteFrameIsRefused(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{SendBuffer: 2000}})
	f := s.received(1461, 1460, 310)
	s.reserve(2000, 1460)
	if s.c.WriteFrame(f) {
		t.Fatal("taken beyond the send buffer")
	}
	s.want(seg{flags: fA, seq: 1, len: 1460, ack: 1})
	s.events = 0
	s.inject(seg{flags: fA, seq: 1, ack: 1461})
	s.wantEvents(EventWritable)
	if !s.c.WriteFrame(f) {
		t.Fatal("refused although there is room")
	}
	s.want(seg{flags: fA, seq: 1461, len: 1460, ack: 1})
	s.c.CloseWrite(s.now)
	f = s.received(1, 10, 310)
	if s.c.WriteFrame(f) {
		t.Error("taken after the FIN")
	}
	s.k.Pool.Release(f)
}

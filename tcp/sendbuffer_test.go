package tcp

import (
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

// TestSendBufferFollowsTheWindow has the send buffer hold twice the congestion window, no less than a short path needs, and no more than
// its bound or than the pool can spare.
func TestSendBufferFollowsTheWindow(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		frames int
		cwnd   uint32
		want   int // bytes that Write takes
	}{
		{"at the beginning", Config{}, 16384, 14_600, 256 << 10},
		{"twice the window", Config{}, 16384, 1_000_000, 2_000_000},
		{"the bound", Config{}, 16384, 8 << 20, 4 << 20},
		{"a bound of the application's", Config{MaxSendBuffer: 100_000}, 16384, 8 << 20, 100_000},
		{"fixed", Config{SendBuffer: 50_000}, 16384, 8 << 20, 50_000},
		// Of 1024 frames, 64 are for others, and a connection may hold as many as it leaves free.
		{"the pool", Config{}, 1024, 8 << 20, 480 * 1460},
	} {
		s := established(t, scriptOptions{cfg: c.cfg, frames: c.frames})
		s.c.cc.cwnd = c.cwnd
		n := s.c.Write(make([]byte, 16<<20))
		if n != c.want {
			t.Errorf("%s: Write took %d bytes, want %d", c.name, n, c.want)
		}
	}
}

// TestSetSendBuffer has a change of the size let a waiting application go on, or wait.
func TestSetSendBuffer(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{SendBuffer: 10_000}})
	if n := s.c.Write(make([]byte, 100_000)); n != 10_000 {
		t.Fatalf("Write took %d bytes", n)
	}
	s.events = 0
	s.c.SetSendBuffer(30_000)
	s.takeEvents()
	s.wantEvents(EventWritable)
	if n := s.c.Write(make([]byte, 100_000)); n != 20_000 {
		t.Errorf("Write took %d bytes, want 20000", n)
	}
	s.c.SetSendBuffer(5_000)
	if n := s.c.Write(make([]byte, 100)); n != 0 {
		t.Errorf("Write took %d bytes beyond the buffer", n)
	}
	s.c.SetSendBuffer(0)
	if n := s.c.Write(make([]byte, 1<<20)); n != 256<<10-30_000 {
		t.Errorf("Write took %d bytes when the buffer follows the window again", n)
	}
	var zero Conn
	zero.SetSendBuffer(1000)
	zero.SetNotSentLowat(1000)
}

// TestNotSentLowat has Write take no more than may wait to be sent, and go on when half of that was sent: by what an ACK lets out, and by
// what is sent for any other reason.
func TestNotSentLowat(t *testing.T) {
	const lowat = 20_000
	s := established(t, scriptOptions{mss: 1000, wscale: 7, cfg: Config{NotSentLowat: lowat, InitialWindow: 10}})
	if n := s.c.Write(make([]byte, 100_000)); n != lowat {
		t.Fatalf("Write took %d bytes, want %d", n, lowat)
	}
	s.events = 0
	for i := range 10 { // the congestion window
		if s.events != 0 {
			t.Fatalf("writable after %d segments, with %d bytes not sent", i, s.c.Info().Unsent)
		}
		s.output()
	}
	s.wantEvents(EventWritable)
	if n := s.c.Write(make([]byte, 100_000)); n != lowat/2 {
		t.Fatalf("Write took %d bytes, want %d", n, lowat/2)
	}
	s.now = s.now.Add(10 * time.Millisecond)
	s.events = 0
	s.inject(seg{flags: fA, seq: 1, ack: 10_001, wnd: 1 << 20})
	s.wantEvents(0)
	for s.output() {
	}
	s.wantEvents(EventWritable)
	s.c.SetNotSentLowat(0)
	if n := s.c.Write(make([]byte, 1<<20)); n < 200_000 {
		t.Errorf("without a bound Write took %d bytes", n)
	}
}

// output takes a segment without a look at its payload.
func (s *script) output() bool {
	var o OutSegment
	ok := s.c.Output(s.now, &o)
	if ok && o.Frame != frame.None {
		s.k.Pool.Transmitting(o.Frame)
		s.k.Pool.Completed(o.Frame)
	}
	s.takeEvents()
	return ok
}

// TestNotSentLowatWithoutBound has the value that Linux has for no bound mean none: no segment that is sent lets the application write as
// long as the send buffer is full.
func TestNotSentLowatWithoutBound(t *testing.T) {
	s := established(t, scriptOptions{cfg: Config{NotSentLowat: 1<<32 - 1, SendBuffer: 100_000}})
	if n := s.c.Write(make([]byte, 200_000)); n != 100_000 {
		t.Fatalf("Write took %d bytes", n)
	}
	s.events = 0
	for s.output() {
	}
	s.wantEvents(0)
}

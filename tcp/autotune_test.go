package tcp

import (
	"testing"
	"time"
)

// stream is a peer that sends without end, as much in each round trip as the window and its own congestion window allow. It echoes what
// it was last sent.
type stream struct {
	*script
	at   uint32 // the next byte, relative
	edge uint32 // how far the window reaches
	echo uint32 // the timestamp of the last ACK
	ack  uint32
}

func newStream(t *testing.T, ts bool, cfg Config) *stream {
	s := &stream{script: established(t, scriptOptions{ts: ts, wscale: 7, cfg: cfg, frames: 16384}), at: 1, ack: 1}
	s.k.rxBudget = 16 << 20
	s.edge = 1 + s.c.Info().RecvWindow
	s.echo = s.c.tsValue(s.now)
	return s
}

// round sends at most n bytes, as the window allows, has the application read if it does, and takes the ACKs a round trip later. It
// returns how much was sent.
func (s *stream) round(n uint32, rtt time.Duration, reads bool) uint32 {
	s.t.Helper()
	s.now = s.now.Add(rtt)
	echo := s.echo
	n = min(n, s.edge-s.at)
	for left := n; left > 0; {
		l := min(left, 1400)
		s.inject(seg{flags: fA, seq: s.at, ack: 1, len: l, tsEcr: echo})
		s.at, left = s.at+l, left-l
		if reads {
			s.wantRead(l)
		}
		for {
			o, ok := s.pull()
			if !ok {
				break
			}
			s.edge = uint32(o.Ack-s.irs) + uint32(o.Window)<<s.c.rcv.scale
			s.echo = o.TSVal
		}
	}
	return n
}

// TestReceiveBufferFollowsThePath has a peer that doubles what it sends in each round trip never wait for the window, until the
// buffer is as large as it may become.
func TestReceiveBufferFollowsThePath(t *testing.T) {
	for _, ts := range []bool{true, false} {
		s := newStream(t, ts, Config{DelayedACK: -1})
		const rtt = 10 * time.Millisecond // as the handshake took
		for cwnd := uint32(14_000); cwnd < 2<<20; cwnd *= 2 {
			if sent := s.round(cwnd, rtt, true); sent != cwnd {
				t.Fatalf("timestamps %v: the window holds %d bytes back of %d, the buffer has %d", ts, cwnd-sent, cwnd, s.c.Info().RecvBuffer)
			}
		}
		for range 10 {
			s.round(4<<20, rtt, true)
		}
		if got := s.c.Info().RecvBuffer; got != 6<<20 {
			t.Errorf("timestamps %v: the buffer has %d bytes at last", ts, got)
		}
	}
}

// TestReceiveBufferFitsThePath has the buffer grow to a little more than twice what a round trip brings, and no further.
func TestReceiveBufferFitsThePath(t *testing.T) {
	const rtt, cwnd = 10 * time.Millisecond, 400_000
	for _, ts := range []bool{true, false} {
		s := newStream(t, ts, Config{DelayedACK: -1})
		for n := uint32(14_000); n < cwnd; n += 14_000 {
			s.round(n, rtt, true)
		}
		for range 50 {
			s.round(cwnd, rtt, true)
		}
		if got := s.c.Info().RecvBuffer; got < 2*cwnd || got > 3*cwnd {
			t.Errorf("timestamps %v: the buffer has %d bytes, a round trip brings %d", ts, got, cwnd)
		}
	}
}

// TestReceiveBufferStays has a buffer stay as it is: one of an application that does not read, one that the application chose, one at
// its bound, and one of a connection that brings little.
func TestReceiveBufferStays(t *testing.T) {
	const rtt = 10 * time.Millisecond
	for _, c := range []struct {
		name  string
		cfg   Config
		cwnd  uint32
		reads bool
		want  uint32
	}{
		{"nobody reads", Config{}, 1 << 20, false, initialRecvBuffer},
		{"fixed", Config{RecvBuffer: 100_000}, 1 << 20, true, 100_000},
		{"bounded", Config{MaxRecvBuffer: 200_000}, 1 << 20, true, 200_000},
		{"bounded below the initial size", Config{MaxRecvBuffer: 50_000}, 1 << 20, true, 50_000},
		{"little", Config{}, 14_000, true, initialRecvBuffer},
	} {
		c.cfg.DelayedACK = -1
		s := newStream(t, true, c.cfg)
		for range 20 {
			s.round(c.cwnd, rtt, c.reads)
		}
		i := s.c.Info()
		if i.RecvBuffer != c.want {
			t.Errorf("%s: the buffer has %d bytes, want %d", c.name, i.RecvBuffer, c.want)
		}
		if most := max(c.want, 65535); i.RecvWindow+i.Unread > most {
			t.Errorf("%s: %d bytes are promised, %d received, of a buffer of %d", c.name, i.RecvWindow, i.Unread, most)
		}
	}
}

// TestSetRecvBuffer changes the size while the peer waits for a window.
func TestSetRecvBuffer(t *testing.T) {
	s := newStream(t, true, Config{DelayedACK: -1, RecvBuffer: 19_600, MaxRecvBuffer: 1 << 20})
	s.round(1<<20, 10*time.Millisecond, false)
	if i := s.c.Info(); i.RecvWindow != 0 || i.Unread != 19_600 {
		t.Fatalf("a window of %d bytes is left, %d are unread", i.RecvWindow, i.Unread)
	}
	s.c.SetRecvBuffer(58_800)
	o, ok := s.pull()
	if !ok || o.Len != 0 || uint32(o.Window)<<s.c.rcv.scale != 39_200 {
		t.Fatalf("the peer hears of a window of %d", uint32(o.Window)<<s.c.rcv.scale)
	}
	s.edge = s.at + 39_200
	s.c.SetRecvBuffer(10_000)
	s.wantNothing()
	if n := s.round(1<<20, 10*time.Millisecond, false); n != 39_200 || s.c.Info().Unread != 58_800 {
		t.Errorf("after the buffer shrank, %d bytes of the window that was offered were taken, %d are unread", n, s.c.Info().Unread)
	}
	s.wantRead(58_800)
	if _, ok := s.pull(); !ok || s.c.Info().RecvWindow != 10_000 {
		t.Errorf("%d bytes are offered of a buffer of 10000", s.c.Info().RecvWindow)
	}
	s.c.SetRecvBuffer(0)
	if got := s.c.Info().RecvBuffer; got != 10_000 {
		t.Errorf("the buffer has %d bytes when it begins to follow the path again", got)
	}
	var zero Conn
	zero.SetRecvBuffer(1000)
}

// TestSmallRecvBufferIsNoDeadEnd makes the receive buffer so small that the scale of the windows can hardly express it: the peer can still
// send. When it may follow the path again it does, from there.
func TestSmallRecvBufferIsNoDeadEnd(t *testing.T) {
	s := newStream(t, true, Config{DelayedACK: -1, MaxRecvBuffer: maxBuffer}) // A unit is 16 KiB.
	rounds := func(what string, least int) {
		t.Helper()
		got := 0
		for range 20 {
			got += int(s.round(4<<20, 10*time.Millisecond, true))
		}
		if got < 20*least {
			t.Errorf("%s: %d bytes came in 20 round trips, with a buffer of %d", what, got, s.c.Info().RecvBuffer)
		}
	}
	rounds("at first", 1<<20)
	s.c.SetRecvBuffer(5000)
	s.round(64<<20, 10*time.Millisecond, true) // what was promised before
	rounds("with little", 5000)
	if got := s.c.Info().RecvBuffer; got > 2<<14 {
		t.Errorf("the buffer has %d bytes", got)
	}
	s.c.SetRecvBuffer(0)
	rounds("following the path again", 1<<20)
}

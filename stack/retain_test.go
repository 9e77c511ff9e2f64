package stack

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
)

// hoarder keeps all that its connections receive, and sends it back when it is told to.
type hoarder struct {
	silent
	kept  []hoard
	bytes int
}

type hoard struct {
	conn *Conn
	buf  Buffer
	data []byte
}

func (h *hoarder) Received(c *Conn, p []byte) {
	h.kept = append(h.kept, hoard{c, c.Retain(), p})
	h.bytes += len(p)
}

// sayer sends a message on each connection and keeps what comes back.
type sayer struct {
	silent
	message []byte
	opened  int
	got     int
	wrong   int
}

func (h *sayer) Opened(c *Conn) {
	h.opened++
	c.Write(h.message)
}

func (h *sayer) Received(_ *Conn, p []byte) {
	h.got += len(p)
	if !bytes.Equal(p, h.message) {
		h.wrong++
	}
}

// TestRetainedBuffersLeaveFrames has a handler keep what 1,500 connections say, in a stack that has 1,024 frames: what it keeps is moved out of
// them, so that there are always some to receive into and to answer with. All of it is as it came, and is sent back in the end.
func TestRetainedBuffersLeaveFrames(t *testing.T) {
	da, db, err := sim.Pipe(sim.Config{Frames: 1024})
	if err != nil {
		t.Fatal(err)
	}
	start := func(p netip.Prefix, d Device) *Stack {
		s, err := New(Config{Address: p}, d)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { closeChecked(t, s) })
		return s
	}
	a, b := start(prefixA, da), start(prefixB, db)
	keeper := &hoarder{}
	if _, err := b.Handle(":9", keeper); err != nil {
		t.Fatal(err)
	}
	say := &sayer{message: bytes.Repeat([]byte("keep me "), 20)}
	const conns, wave = 1500, 20
	wait := func(what string, s *Stack, cond func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			ok := false
			s.shards[0].call(func(*Shard) { ok = cond() })
			if ok {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("gave up waiting for: %s; %d bytes kept, %d opened, %d frames free", what, keeper.bytes, say.opened, b.shards[0].pool.Free())
			}
		}
	}
	for n := wave; n <= conns; n += wave {
		a.shards[0].call(func(sh *Shard) {
			for range wave {
				if _, err := sh.Open(netip.AddrPortFrom(prefixB.Addr(), 9), say); err != nil {
					t.Error(err)
				}
			}
		})
		wait("all is received", b, func() bool { return keeper.bytes == n*len(say.message) })
	}
	b.shards[0].call(func(sh *Shard) {
		if free, least := sh.pool.Free(), sh.pool.Size()/64; free < least {
			t.Errorf("%d frames are free, want %d", free, least)
		}
		for i, k := range keeper.kept {
			switch {
			case !bytes.Equal(k.data, say.message):
				t.Fatalf("what was kept is %q", k.data)
			case i%2 == 0 || !k.conn.SendBuffer(k.buf, k.conn):
				k.conn.Release(k.buf)
				keeper.bytes -= len(k.data)
			}
		}
	})
	wait("half is sent back", a, func() bool { return say.got == keeper.bytes })
	if keeper.bytes == 0 || say.wrong != 0 {
		t.Errorf("%d bytes sent back, %d messages wrong", keeper.bytes, say.wrong)
	}
}

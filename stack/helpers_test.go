package stack

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim"
)

var (
	prefixA = netip.MustParsePrefix("10.1.0.1/24")
	prefixB = netip.MustParsePrefix("10.1.0.2/24")
)

// newPair starts two stacks that are joined by a link in memory, in real time.
func newPair(t testing.TB, cfg Config) (a, b *Stack) {
	t.Helper()
	da, db, err := sim.Pipe(sim.Config{Frames: 8192})
	if err != nil {
		t.Fatal(err)
	}
	start := func(p netip.Prefix, d Device) *Stack {
		c := cfg
		c.Address = p
		s, err := New(c, d)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { closeChecked(t, s) })
		return s
	}
	return start(prefixA, da), start(prefixB, db)
}

// closeChecked closes a stack and fails the test if a frame is missing then.
func closeChecked(t testing.TB, s *Stack) {
	t.Helper()
	if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("close: %v", err)
	}
	for i, sh := range s.shards {
		<-sh.done
		if err := sh.pool.Check(); err != nil {
			t.Errorf("shard %d: %v", i, err)
		}
		if a := sh.pool.Account(); a.Held != 0 {
			t.Errorf("shard %d: %d frames are still held after Close: %+v", i, a.Held, a)
		}
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting for: %s", what)
		}
	}
}

// serveEach accepts connections until the listener is closed, and serves each on a goroutine of its own, which closes it.
func serveEach(ln net.Listener, serve func(c net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

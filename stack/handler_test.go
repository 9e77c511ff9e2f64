package stack

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// slowEcho echoes, but keeps what it received for a while, and what it could not write until there is room.
type slowEcho struct {
	mu   sync.Mutex
	seen []string
}

type echoState struct {
	waiting []kept
	ended   bool // the peer has sent everything
}

type kept struct {
	buf  Buffer
	rest []byte
}

func (h *slowEcho) note(s string) {
	h.mu.Lock()
	h.seen = append(h.seen, s)
	h.mu.Unlock()
}

func (h *slowEcho) Opened(c *Conn) { c.SetContext(&echoState{}); h.note("opened") }

func (h *slowEcho) Received(c *Conn, p []byte) {
	st := c.Context().(*echoState)
	if len(st.waiting) == 0 {
		if n := c.Write(p); n == len(p) {
			return
		} else {
			p = p[n:]
		}
	}
	st.waiting = append(st.waiting, kept{c.Retain(), p})
}

func (h *slowEcho) Writable(c *Conn) {
	st := c.Context().(*echoState)
	for len(st.waiting) > 0 {
		k := &st.waiting[0]
		n := c.Write(k.rest)
		if k.rest = k.rest[n:]; len(k.rest) > 0 {
			return
		}
		c.Release(k.buf)
		st.waiting = st.waiting[1:]
	}
	h.finish(c)
}

func (h *slowEcho) PeerClosed(c *Conn) {
	h.note("peer closed")
	c.Context().(*echoState).ended = true
	h.finish(c)
}

// finish closes once everything has been sent back.
func (h *slowEcho) finish(c *Conn) {
	if st := c.Context().(*echoState); st.ended && len(st.waiting) == 0 {
		c.Close()
	}
}

func (h *slowEcho) Closed(c *Conn, err error) {
	for _, k := range c.Context().(*echoState).waiting {
		c.Release(k.buf)
	}
	if err != nil {
		h.note("closed: " + err.Error())
		return
	}
	h.note("closed")
}

func TestHandlerEchoWithBackPressure(t *testing.T) {
	a, b := newPair(t, Config{})
	h := &slowEcho{}
	if _, err := b.Handle(":7", h); err != nil {
		t.Fatal(err)
	}
	c, err := a.Dial("tcp", "10.1.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 8<<20)
	rand.Read(data)
	go func() {
		c.Write(data)
	}()
	time.Sleep(50 * time.Millisecond) // let both directions fill up before anything is read
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Error("the echo differs")
	}
	c.(*TCPConn).CloseWrite()
	if rest, err := io.ReadAll(c); len(rest) != 0 || err != nil {
		t.Errorf("after the echo: %d bytes, %v", len(rest), err)
	}
	c.Close()
	eventually(t, "the server to see the end", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.seen) == 3 && h.seen[2] == "closed"
	})
}

type clientHandler struct {
	sent, got []byte
	done      chan error
}

func (h *clientHandler) Opened(c *Conn)            { c.Write(h.sent) }
func (h *clientHandler) Writable(*Conn)            {}
func (h *clientHandler) PeerClosed(*Conn)          {}
func (h *clientHandler) Closed(_ *Conn, err error) { h.done <- err }
func (h *clientHandler) Received(c *Conn, p []byte) {
	if h.got = append(h.got, p...); len(h.got) == len(h.sent) {
		c.Close()
	}
}

func TestConnectWithHandler(t *testing.T) {
	a, b := newPair(t, Config{})
	if _, err := b.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	h := &clientHandler{sent: []byte("hello"), done: make(chan error, 1)}
	if err := a.Connect(netip.MustParseAddrPort("10.1.0.2:7"), h); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-h.done:
		if err != nil || string(h.got) != "hello" {
			t.Errorf("got %q, %v", h.got, err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the connection did not end")
	}
}

// chain opens connections one after another: the end of each opens the next.
type chain struct {
	shard  *Shard
	remote netip.AddrPort
	left   int
	errs   []error
	done   chan struct{}
}

func (h *chain) Opened(c *Conn)             { c.Write([]byte("x")) }
func (h *chain) Received(c *Conn, _ []byte) { c.Close() }
func (h *chain) Writable(*Conn)             {}
func (h *chain) PeerClosed(*Conn)           {}

func (h *chain) Closed(_ *Conn, err error) {
	if h.left--; h.left >= 0 && err == nil {
		err = h.shard.Connect(h.remote, h)
	}
	if err != nil || h.left < 0 {
		h.errs = append(h.errs, err)
		close(h.done)
	}
}

func TestHandlerConnects(t *testing.T) {
	a, b := newPair(t, Config{})
	if _, err := b.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	h := &chain{shard: a.Shard(0), remote: netip.AddrPortFrom(prefixB.Addr(), 7), left: 100, done: make(chan struct{})}
	if err := a.Connect(h.remote, h); err != nil {
		t.Fatal(err)
	}
	<-h.done
	if h.left >= 0 || h.errs[0] != nil {
		t.Errorf("%d connections left: %v", h.left, h.errs)
	}
	var bad, outside error
	a.shards[0].call(func(s *Shard) {
		bad = s.Connect(netip.AddrPortFrom(prefixA.Masked().Addr(), 7), h)
		outside = s.Connect(netip.MustParseAddrPort("192.0.2.1:7"), h)
	})
	if !errors.Is(bad, ErrBroadcast) || !errors.Is(outside, ErrNoRoute) {
		t.Errorf("to the network's own address: %v; outside the network: %v", bad, outside)
	}
}

// again opens a connection when its own has been ended by the end of the stack.
type again struct {
	chain
	refused error
}

func (h *again) Received(*Conn, []byte) { close(h.done) }
func (h *again) Closed(*Conn, error)    { h.refused = h.shard.Connect(h.remote, h) }

func TestHandlerConnectsWhileTheStackCloses(t *testing.T) {
	a, b := newPair(t, Config{})
	if _, err := b.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	h := &again{chain: chain{shard: a.Shard(0), remote: netip.AddrPortFrom(prefixB.Addr(), 7), done: make(chan struct{})}}
	if err := a.Connect(h.remote, h); err != nil {
		t.Fatal(err)
	}
	<-h.done
	closeChecked(t, a)
	if !errors.Is(h.refused, net.ErrClosed) {
		t.Errorf("on a shard that stops: %v, want net.ErrClosed", h.refused)
	}
}

package stack

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"
	"time"
)

// counting answers each byte that it receives, whatever it is, with 8 bytes of a sequence, which it writes where they are sent
// from.
type counting struct {
	recorder
	next, owed int
}

func countingByte(i int) byte { return byte(i ^ i>>8 ^ i>>16) }

// recorder is a handler that does nothing.
type recorder struct{}

func (recorder) Opened(*Conn)           {}
func (recorder) Received(*Conn, []byte) {}
func (recorder) Writable(*Conn)         {}
func (recorder) PeerClosed(c *Conn)     {}
func (recorder) Closed(*Conn, error)    {}

func (h *counting) Received(c *Conn, p []byte) {
	h.owed += 8 * len(p)
	h.Writable(c)
}

func (h *counting) Writable(c *Conn) {
	for h.owed > 0 {
		b := c.Reserve(h.owed)
		if b == nil {
			return
		}
		for i := range b {
			b[i] = countingByte(h.next + i)
		}
		if !c.Commit(len(b)) {
			panic("what was reserved cannot be committed")
		}
		h.next += len(b)
		h.owed -= len(b)
	}
}

func (h *counting) PeerClosed(c *Conn) { c.Close() }

// TestReserveAndCommit has much more be written into frames than there is room for at a time.
func TestReserveAndCommit(t *testing.T) {
	a, b := newPair(t, Config{})
	if _, err := b.Handle(":7", &counting{}); err != nil {
		t.Fatal(err)
	}
	c, err := a.Dial("tcp", "10.1.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 1 << 20
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go c.Write(make([]byte, n))
	got := make([]byte, 8*n)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if v != countingByte(i) {
			t.Fatalf("byte %d is %d", i, v)
		}
	}
}

// passer passes what a connection receives back on it in the frames that it came in, or keeps it while there is no room.
type passer struct {
	recorder
	kept  []Buffer
	ended bool
}

func (h *passer) Received(c *Conn, _ []byte) {
	h.kept = append(h.kept, c.Retain())
	h.Writable(c)
}

func (h *passer) Writable(c *Conn) {
	for len(h.kept) > 0 && c.SendBuffer(h.kept[0], c) {
		h.kept = h.kept[1:]
	}
	if h.ended && len(h.kept) == 0 {
		c.Close()
	}
}

func (h *passer) PeerClosed(c *Conn) {
	h.ended = true
	h.Writable(c)
}

func (h *passer) Closed(c *Conn, _ error) {
	for _, b := range h.kept {
		c.Release(b)
	}
	h.kept = nil
}

// TestSendBuffer has an echo send the frames that it receives, of a client that reads late, and of one that goes away.
func TestSendBuffer(t *testing.T) {
	for name, away := range map[string]bool{"reads late": false, "goes away": true} {
		a, b := newPair(t, Config{})
		if _, err := b.Handle(":7", &passer{}); err != nil {
			t.Fatal(err)
		}
		conn, err := a.Dial("tcp", "10.1.0.2:7")
		if err != nil {
			t.Fatal(err)
		}
		c := conn.(*TCPConn)
		data := make([]byte, 8<<20)
		rand.Read(data)
		go func() {
			c.Write(data)
			c.CloseWrite()
		}()
		time.Sleep(50 * time.Millisecond) // Both directions fill up.
		if away {
			c.SetLinger(0)
			c.Close()
			continue // The end of the test counts the frames.
		}
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d of %d bytes came back, %v", name, len(got), len(data), err)
		}
		c.Close()
	}
}

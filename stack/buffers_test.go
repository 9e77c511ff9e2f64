package stack

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// connectedPair returns the two ends of a connection between two stacks.
func connectedPair(t *testing.T) (dialed, accepted *TCPConn) {
	t.Helper()
	a, b := newPair(t, Config{})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	c1, err := a.Dial("tcp", "10.1.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c1.Close() })
	c2, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c2.Close() })
	return c1.(*TCPConn), c2.(*TCPConn)
}

// TestBuffersChangeDuringTransfer has the sizes of both buffers, and the bound on what waits to be sent, change all the time while a
// net.Conn is written to and read: everything arrives, and no reader or writer sleeps for good.
func TestBuffersChangeDuringTransfer(t *testing.T) {
	writer, reader := connectedPair(t)
	sent := make([]byte, 32<<20)
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	deadline := time.Now().Add(30 * time.Second)
	writer.SetDeadline(deadline)
	reader.SetDeadline(deadline)
	stop, changed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(changed)
		r := rand.New(rand.NewPCG(1, 2))
		size := func() int { return r.IntN(4) * r.IntN(200_000) } // often 0, which is no fixed size
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Microsecond):
			}
			writer.SetWriteBuffer(size())
			writer.SetNotSentLowat(size())
			reader.SetReadBuffer(size())
		}
	}()
	go func() {
		writer.Write(sent)
		writer.CloseWrite()
	}()
	got, err := io.ReadAll(reader)
	close(stop)
	<-changed
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes: %v", len(got), len(sent), err)
	}
}

// TestCopiesAreJoined has a peer send byte by byte what nobody reads, while frames are scarce: what is kept of it is little more than the
// bytes, and all of them, in their order.
func TestCopiesAreJoined(t *testing.T) {
	writer, reader := connectedPair(t)
	reader.shard.call(func(s *Shard) { s.scarce = s.pool.Size() + 1 })
	writer.SetNoDelay(true)
	const n = 3000
	for i := range n {
		if _, err := writer.Write([]byte{byte(i * 7)}); err != nil {
			t.Fatal(err)
		}
	}
	memory := 0
	eventually(t, "all bytes", func() bool {
		reader.in.mu.Lock()
		defer reader.in.mu.Unlock()
		memory = cap(reader.in.copies)
		return len(reader.in.copies) == n
	})
	if memory > 2*n {
		t.Errorf("%d bytes are kept in %d", n, memory)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(reader, got); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i] != byte(i*7) {
			t.Fatalf("byte %d is %d", i, got[i])
		}
	}
}

package stack

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// TestBuffersChangeDuringTransfer has the sizes of both buffers, and the bound on what waits to be sent, change all the time while a
// net.Conn is written to and read: everything arrives, and no reader or writer sleeps for good.
func TestBuffersChangeDuringTransfer(t *testing.T) {
	a, b := newPair(t, Config{})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c1, err := a.Dial("tcp", "10.1.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c1.Close()
	c2, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	sent := make([]byte, 32<<20)
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	writer, reader := c1.(*TCPConn), c2.(*TCPConn)
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

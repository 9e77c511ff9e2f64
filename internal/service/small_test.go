package service

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// A client that reads while it writes.
func TestEcho(t *testing.T) {
	server, client := pair(t)
	handle(t, server, "7", Echo{})
	c := dial(t, client, "tcp", "7")
	sent := randomBytes(5 << 20)
	go func() {
		_, _ = c.Write(sent)
		_ = c.(closeWriter).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back, equal %v, %v", len(got), len(sent), bytes.Equal(got, sent), err)
	}
}

// A client that does not read until it can write no more: the server holds a bounded part of what it sent, and gives all of it back
// once the client reads.
func TestEchoToClientThatDoesNotRead(t *testing.T) {
	server, client := pair(t)
	handle(t, server, "7", Echo{})
	c := dial(t, client, "tcp", "7")
	sent := randomBytes(16 << 20)
	if err := c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Write(sent)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes written without a reader: %v", n, err)
	}
	go func() { _ = c.(closeWriter).CloseWrite() }()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent[:n]) {
		t.Errorf("%d of %d bytes came back, %v", len(got), n, err)
	}
}

// A client that goes away while the server holds its bytes: they are released, which pair checks.
func TestEchoToClientThatLeaves(t *testing.T) {
	server, client := pair(t)
	handle(t, server, "7", Echo{})
	c := dial(t, client, "tcp", "7")
	_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = c.Write(randomBytes(16 << 20))
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	c.Close()
}

func TestDiscard(t *testing.T) {
	server, client := pair(t)
	handle(t, server, "9", Discard{})
	c := dial(t, client, "tcp", "9")
	if n, err := c.Write(randomBytes(5 << 20)); err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	_ = c.(closeWriter).CloseWrite()
	if b, err := io.ReadAll(c); err != nil || len(b) != 0 {
		t.Errorf("%d bytes came back, %v", len(b), err)
	}
}

func TestChargen(t *testing.T) {
	server, client := pair(t)
	handle(t, server, "19", Chargen{})
	c := dial(t, client, "tcp", "19")
	r := bufio.NewReader(c)
	for i := range 20_000 { // more than a send buffer, more than two cycles
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) != lineLength+2 || line[0] != byte(firstPrinting+i%numPrinting) ||
			line[lineLength-1] != byte(firstPrinting+(i+lineLength-1)%numPrinting) {
			t.Fatalf("line %d is %q, %v", i, line, err)
		}
	}
	_ = c.(closeWriter).CloseWrite()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("after the client's end: %v", err)
	}
}

func TestPackets(t *testing.T) {
	server, client := pair(t)
	if err := server.HandlePacket(":7", EchoPackets{}); err != nil {
		t.Fatal(err)
	}
	if err := server.HandlePacket(":9", DiscardPackets{}); err != nil {
		t.Fatal(err)
	}
	if err := server.HandlePacket(":19", ChargenPackets{}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	ask := func(c net.Conn, p []byte, wait time.Duration) []byte {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(wait))
		n, err := c.Read(buf)
		if err != nil {
			return nil
		}
		return buf[:n]
	}
	sent := randomBytes(1000)
	if got := ask(dial(t, client, "udp", "7"), sent, patience); !bytes.Equal(got, sent) {
		t.Errorf("echo: %d bytes came back", len(got))
	}
	if got := ask(dial(t, client, "udp", "9"), sent, 100*time.Millisecond); got != nil {
		t.Errorf("discard: %d bytes came back", len(got))
	}
	if got := ask(dial(t, client, "udp", "19"), []byte("1234"), patience); string(got) != " !\"#" {
		t.Errorf("chargen: %q, want no more than was sent", got)
	}
}

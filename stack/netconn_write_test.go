package stack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/frame"
)

// hold keeps the shard of a connection from its work until the function that it returns is called.
func hold(t *testing.T, c *TCPConn) (release func()) {
	t.Helper()
	held, done := make(chan struct{}), make(chan struct{})
	go c.shard.call(func(*Shard) {
		close(held)
		<-done
	})
	<-held
	return sync.OnceFunc(func() { close(done) })
}

// TestShortWritesDoNotWaitForTheShard has what is short be written while the shard is busy, up to the buffer's size; what has no
// room waits. All of it arrives in order, and so does the FIN of a CloseWrite that follows.
func TestShortWritesDoNotWaitForTheShard(t *testing.T) {
	c, peer := connectedPair(t)
	release := hold(t, c)
	defer release()
	var sent []byte
	piece := bytes.Repeat([]byte("0123456789"), 100)
	c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	for len(sent)+len(piece) <= writeBuffer {
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, piece...)
	}
	c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := c.Write(piece); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("beyond the buffer: wrote %d bytes, %v", n, err)
	}
	c.SetWriteDeadline(time.Time{})
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if _, err := c.Write(piece); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("after CloseWrite: %v, want EPIPE", err)
	}
	release()
	peer.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes arrived, %v", len(got), len(sent), err)
	}
}

// TestCloseSendsWhatWasWritten has Close follow a short Write while the shard is busy.
func TestCloseSendsWhatWasWritten(t *testing.T) {
	c, peer := connectedPair(t)
	release := hold(t, c)
	defer release()
	if _, err := c.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	release()
	peer.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(peer); err != nil || string(got) != "last words" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestCloseWithoutFrames has Close, or CloseWrite, follow a short Write for which the shard finds no frame: the bytes and the FIN
// go out once there are some.
func TestCloseWithoutFrames(t *testing.T) {
	for name, end := range map[string]func(*TCPConn) error{"Close": (*TCPConn).Close, "CloseWrite": (*TCPConn).CloseWrite} {
		c, peer := connectedPair(t)
		var taken []frame.Index
		c.shard.call(func(s *Shard) {
			for f := s.pool.Alloc(); f != frame.None; f = s.pool.Alloc() {
				taken = append(taken, f)
			}
		})
		c.Write([]byte("last words"))
		end(c)
		time.Sleep(20 * time.Millisecond)
		c.shard.call(func(s *Shard) {
			for _, f := range taken {
				s.pool.Release(f)
			}
		})
		peer.SetReadDeadline(time.Now().Add(5 * time.Second))
		if got, err := io.ReadAll(peer); err != nil || string(got) != "last words" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// TestWaitingWriteEnds has a Write that waits for a peer that does not read end by everything that can end it, and say how much
// of it was taken.
func TestWaitingWriteEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c, peer *TCPConn)
		want error
	}{
		{"deadline", func(c, _ *TCPConn) { c.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		{"close", func(c, _ *TCPConn) { c.Close() }, net.ErrClosed},
		{"close of the sending side", func(c, _ *TCPConn) { c.CloseWrite() }, syscall.EPIPE},
		{"reset", func(_, peer *TCPConn) { peer.SetLinger(0); peer.Close() }, syscall.ECONNRESET},
		{"stack closed", func(c, _ *TCPConn) { c.shard.stack.Close() }, net.ErrClosed},
	} {
		c, peer := connectedPair(t)
		type result struct {
			n   int
			err error
		}
		done := make(chan result, 1)
		size := 64 << 20
		go func() {
			n, err := c.Write(make([]byte, size))
			done <- result{n, err}
		}()
		eventually(t, "the buffers to fill", func() bool {
			c.out.mu.Lock()
			defer c.out.mu.Unlock()
			return c.out.taken > 64<<10
		})
		test.end(c, peer)
		select {
		case r := <-done:
			if r.n <= 0 || r.n >= size || !errors.Is(r.err, test.want) {
				t.Errorf("%s: wrote %d bytes, %v, want %v", test.name, r.n, r.err, test.want)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: the Write still waits", test.name)
		}
	}
}

// TestFullMailbox has many connections ask for something while the shard is busy and its mailbox is short: they wait, and
// everything is done once the shard goes on.
func TestFullMailbox(t *testing.T) {
	a, b := newPair(t, Config{Mailbox: 4})
	ln, err := b.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	var conns []*TCPConn
	for range 16 {
		c, err := a.Dial("tcp", "10.1.0.2:7")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c.(*TCPConn))
	}
	release := hold(t, conns[0])
	defer release()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			io.WriteString(c, "hello")
			c.CloseWrite()
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if got, err := io.ReadAll(c); err != nil || string(got) != "hello" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	release()
	wg.Wait()
}

// TestReadAndWriteDoNotAllocate plays ping-pong over net.Conns, with deadlines as net/http sets them.
func TestReadAndWriteDoNotAllocate(t *testing.T) {
	c, peer := connectedPair(t)
	go func() {
		b := make([]byte, 100)
		for {
			n, err := peer.Read(b)
			if err != nil {
				return
			}
			peer.Write(b[:n])
		}
	}()
	b := make([]byte, 100)
	for _, deadline := range []bool{false, true} {
		turn := func() {
			if deadline {
				c.SetDeadline(time.Now().Add(time.Minute))
			}
			c.Write(b)
			if _, err := io.ReadFull(c, b); err != nil {
				t.Fatal(err)
			}
			if deadline {
				c.SetDeadline(time.Time{})
			}
		}
		turn()
		if n := testing.AllocsPerRun(2000, turn); n != 0 {
			t.Errorf("deadlines %v: %v allocations a round trip", deadline, n)
		}
	}
}

// TestDeadlinesMove has deadlines be moved in every direction while a Read waits.
func TestDeadlinesMove(t *testing.T) {
	c, _ := connectedPair(t)
	read := func(move func()) time.Duration {
		time.AfterFunc(5*time.Millisecond, move)
		start := time.Now()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
		}
		return time.Since(start)
	}
	c.SetReadDeadline(time.Now().Add(time.Hour))
	if d := read(func() { c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) }); d < 20*time.Millisecond || d > 5*time.Second {
		t.Errorf("moved to the front: %v", d)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if d := read(func() { c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) }); d < 100*time.Millisecond {
		t.Errorf("moved to the back: %v", d)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if d := read(func() {
		c.SetReadDeadline(time.Time{})
		time.AfterFunc(100*time.Millisecond, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	}); d < 100*time.Millisecond {
		t.Errorf("taken away and put back: %v", d)
	}
}

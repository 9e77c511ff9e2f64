package stack

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// proxied returns a client that sends, the ends of two connections on one stack that a proxy has, and the client that receives.
func proxied(t *testing.T) (sender, in, out, receiver *TCPConn) {
	t.Helper()
	a, b := newPair(t, Config{})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	var ends [4]*TCPConn
	for i := range 2 {
		c, err := a.Dial("tcp", "10.1.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		s, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ends[2*i], ends[2*i+1] = c.(*TCPConn), s.(*TCPConn)
		t.Cleanup(func() { c.Close(); s.Close() })
	}
	return ends[0], ends[1], ends[3], ends[2]
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

type copied struct {
	n   int64
	err error
}

// inBackground runs a copy.
func inBackground(copy func() (int64, error)) chan copied {
	done := make(chan copied, 1)
	go func() {
		n, err := copy()
		done <- copied{n, err}
	}()
	return done
}

func await(t *testing.T, done chan copied) copied {
	t.Helper()
	select {
	case c := <-done:
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("the copy goes on")
		return copied{}
	}
}

// TestCopySplices has io.Copy pass what one connection receives to another: whole, in order, and in the frames that it came in.
func TestCopySplices(t *testing.T) {
	sender, in, out, receiver := proxied(t)
	data := randomBytes(8 << 20)
	done := inBackground(func() (int64, error) { return io.Copy(out, in) })
	go func() {
		sender.Write(data)
		sender.CloseWrite()
	}()
	receiver.SetDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, len(data))
	if n, err := io.ReadFull(receiver, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes arrived, %v", n, len(data), err)
	}
	if c := await(t, done); c.n != int64(len(data)) || c.err != nil {
		t.Errorf("copied %d bytes, %v, want %d", c.n, c.err, len(data))
	}
	var passed, received uint64
	in.shard.call(func(s *Shard) { passed, received = s.core.Stats.FramesPassed, s.stats.Rx.Frames })
	if passed < uint64(len(data))/1460/2 {
		t.Errorf("%d frames were passed on as they were, of %d that came in for %d bytes", passed, received, len(data))
	}
	// The end of what comes in is not the end of what goes out.
	out.Write([]byte("more"))
	out.CloseWrite()
	if rest, err := io.ReadAll(receiver); err != nil || string(rest) != "more" {
		t.Errorf("afterwards: %q, %v", rest, err)
	}
}

// TestCopyToItself is an echo.
func TestCopyToItself(t *testing.T) {
	c, peer := connectedPair(t)
	done := inBackground(func() (int64, error) { return io.Copy(peer, peer) })
	data := randomBytes(3 << 20)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, len(data))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes came back, %v", n, len(data), err)
	}
	if r := await(t, done); r.n != int64(len(data)) || r.err != nil {
		t.Errorf("copied %d bytes, %v", r.n, r.err)
	}
}

// TestCopyOfSoMuch has limits that end within frames, between Reads and Writes that go on before and after, with plenty of frames
// and with so few that everything is copied out of them.
func TestCopyOfSoMuch(t *testing.T) {
	for _, scarce := range []bool{false, true} {
		sender, in, out, receiver := proxied(t)
		in.shard.call(func(s *Shard) {
			if scarce {
				s.scarce = s.pool.Size() + 1
			}
		})
		data := randomBytes(150_000)
		go func() {
			sender.Write(data)
			sender.CloseWrite()
		}()
		var seen []byte
		for _, n := range []int64{1, 100, 1459, 1460, 1461, 10_000, 77_777} {
			one := make([]byte, 333)
			if _, err := io.ReadFull(in, one); err != nil {
				t.Fatal(err)
			}
			out.Write(one)
			if got, err := io.CopyN(out, in, n); got != n || err != nil {
				t.Fatalf("scarce %v: copied %d bytes of %d, %v", scarce, got, n, err)
			}
		}
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
		out.CloseWrite()
		receiver.SetReadDeadline(time.Now().Add(10 * time.Second))
		seen, err := io.ReadAll(receiver)
		if err != nil || !bytes.Equal(seen, data) {
			t.Errorf("scarce %v: %d of %d bytes arrived, %v", scarce, len(seen), len(data), err)
		}
	}
}

// TestSpliceHoldsTheSenderBack has a receiver that does not read: what is sent to the proxy is bounded, and all of it comes once
// he does.
func TestSpliceHoldsTheSenderBack(t *testing.T) {
	sender, in, out, receiver := proxied(t)
	done := inBackground(func() (int64, error) { return io.Copy(out, in) })
	data := randomBytes(48 << 20)
	sender.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	n, err := sender.Write(data)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d bytes, %v, want a deadline that is exceeded", n, err)
	}
	sender.SetWriteDeadline(time.Time{})
	sender.CloseWrite()
	receiver.SetReadDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, n)
	if k, err := io.ReadFull(receiver, got); err != nil || !bytes.Equal(got, data[:n]) {
		t.Errorf("%d of %d bytes arrived, %v", k, n, err)
	}
	if c := await(t, done); c.n != int64(n) || c.err != nil {
		t.Errorf("copied %d bytes of %d, %v", c.n, n, c.err)
	}
}

// TestSpliceEnds has everything end a splice that can end one, while bytes flow and while they are held up. The frames are
// counted when the stacks are closed.
func TestSpliceEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(sender, in, out, receiver *TCPConn)
		want error
		op   string
	}{
		{"the sender resets", func(c, _, _, _ *TCPConn) { c.SetLinger(0); c.Close() }, syscall.ECONNRESET, "read"},
		{"the receiver resets", func(_, _, _, c *TCPConn) { c.SetLinger(0); c.Close() }, syscall.ECONNRESET, "write"},
		{"read deadline", func(_, c, _, _ *TCPConn) { c.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded, "read"},
		{"write deadline", func(_, _, c, _ *TCPConn) { c.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded, "write"},
		{"close of what is read", func(_, c, _, _ *TCPConn) { c.Close() }, net.ErrClosed, "read"},
		{"close of what is written", func(_, _, c, _ *TCPConn) { c.Close() }, net.ErrClosed, "write"},
		{"close of the sending side", func(_, _, c, _ *TCPConn) { c.CloseWrite() }, syscall.EPIPE, "write"},
		{"stack closed", func(_, c, _, _ *TCPConn) { c.shard.stack.Close() }, net.ErrClosed, ""},
	} {
		for _, reads := range []bool{true, false} {
			sender, in, out, receiver := proxied(t)
			done := inBackground(func() (int64, error) { return io.Copy(out, in) })
			go func() {
				for b := make([]byte, 64<<10); ; {
					if _, err := sender.Write(b); err != nil {
						return
					}
				}
			}()
			if reads {
				go io.Copy(io.Discard, receiver)
			}
			time.Sleep(20 * time.Millisecond)
			test.end(sender, in, out, receiver)
			if test.op == "read" && errors.Is(test.want, syscall.ECONNRESET) && !reads {
				receiver.Close() // What was received before the reset would still be passed on.
				await(t, done)
				continue
			}
			c := await(t, done)
			var op *net.OpError
			if !errors.Is(c.err, test.want) || !errors.As(c.err, &op) || test.op != "" && op.Op != test.op {
				t.Errorf("%s, receiver reads %v: %d bytes, %v, want %s: %v", test.name, reads, c.n, c.err, test.op, test.want)
			}
		}
	}
}

// TestCopyWithOthers has a TCPConn be copied to and from what is none.
func TestCopyWithOthers(t *testing.T) {
	c, peer := connectedPair(t)
	data := randomBytes(1 << 20)
	done := inBackground(func() (int64, error) { return io.Copy(c, struct{ io.Reader }{bytes.NewReader(data)}) })
	var got bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := io.Copy(&got, peer); n != int64(len(data)) || err != nil {
			t.Errorf("copied %d bytes, %v", n, err)
		}
	})
	if r := await(t, done); r.n != int64(len(data)) || r.err != nil {
		t.Errorf("sent %d bytes, %v", r.n, r.err)
	}
	c.CloseWrite()
	wg.Wait()
	if !bytes.Equal(got.Bytes(), data) {
		t.Error("what arrived differs")
	}
	// Between stacks, as between shards, bytes are copied.
	c1, c2 := connectedPair(t)
	c3, c4 := connectedPair(t)
	done = inBackground(func() (int64, error) { return io.Copy(c3, c2) })
	go func() {
		c1.Write(data)
		c1.CloseWrite()
	}()
	c4.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c4, got.Bytes()); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("between stacks: %v", err)
	}
	if r := await(t, done); r.n != int64(len(data)) || r.err != nil {
		t.Errorf("between stacks: copied %d bytes, %v", r.n, r.err)
	}
	peer.SetReadDeadline(time.Now())
	if n, err := peer.WriteTo(io.Discard); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %d bytes, %v", n, err)
	}
}

// TestWriteBuffers has slices go out together, and v keep exactly what was not sent.
func TestWriteBuffers(t *testing.T) {
	c, peer := connectedPair(t)
	large := string(randomBytes(1 << 20))
	for _, parts := range [][]string{{}, {""}, {"a", "", "bc"}, {"head", large, "tail"}, {large, large}} {
		want := strings.Join(parts, "")
		v := make(net.Buffers, len(parts))
		for i, p := range parts {
			v[i] = []byte(p)
		}
		done := inBackground(func() (int64, error) { return c.WriteBuffers(&v) })
		got := make([]byte, len(want))
		peer.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != want {
			t.Errorf("%d slices of %d bytes: %v", len(parts), len(want), err)
		}
		if r := await(t, done); r.n != int64(len(want)) || r.err != nil || len(v) != 0 {
			t.Errorf("%d slices of %d bytes: sent %d, left %d slices, %v", len(parts), len(want), r.n, len(v), r.err)
		}
	}
	var v net.Buffers
	whole := randomBytes(64 << 20)
	for at := 0; at < len(whole); at += 10_007 {
		v = append(v, whole[at:min(at+10_007, len(whole))])
	}
	c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	n, err := c.WriteBuffers(&v)
	if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("sent %d bytes, %v, want a deadline that is exceeded", n, err)
	}
	if rest := bytes.Join(v, nil); !bytes.Equal(rest, whole[n:]) {
		t.Errorf("of %d bytes %d were sent and %d are left", len(whole), n, len(rest))
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, whole[:n]) {
		t.Errorf("the %d bytes that were sent did not arrive: %v", n, err)
	}
}

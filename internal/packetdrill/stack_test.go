package packetdrill

import (
	"bytes"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair makes two stacks and carries packets between them.
func pair(t *testing.T, flags string) (a, b *Stack) {
	t.Helper()
	start := func(local string) *Stack {
		s, err := New("receive_timeout=100ms,local=" + local + "," + flags)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b = start("192.168.0.1"), start("192.168.0.2")
	var wg sync.WaitGroup
	carry := func(from, to *Stack) {
		buf := make([]byte, 65535)
		for {
			n, _, e := from.Receive(buf)
			if e != 0 {
				return
			}
			to.Inject(buf[:n])
		}
	}
	wg.Go(func() { carry(a, b) })
	wg.Go(func() { carry(b, a) })
	t.Cleanup(func() {
		for _, s := range []*Stack{a, b} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
	})
	return a, b
}

// must fails the test for an error of a call.
func must(t *testing.T, e syscall.Errno) {
	t.Helper()
	if e != 0 {
		t.Fatal(e)
	}
}

// TestTransfer has calls that block move more than the buffers hold, in both directions' order: connect, accept, write, read, close.
func TestTransfer(t *testing.T) {
	a, b := pair(t, "recv_buffer=30000,send_buffer=30000")
	addr := netip.MustParseAddrPort("192.168.0.2:80")
	l, e := b.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, e)
	must(t, b.Bind(l, addr))
	must(t, b.Listen(l, 5))
	c, e := a.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	must(t, e)
	sent := bytes.Repeat([]byte("0123456789abcde"), 20_000)
	go func() {
		if e := a.Connect(c, addr); e != 0 {
			t.Errorf("connect: %v", e)
		}
		if n, e := a.Write(c, sent, 0); n != len(sent) || e != 0 {
			t.Errorf("write: %d, %v", n, e)
		}
		if e := a.Shutdown(c, unix.SHUT_WR); e != 0 {
			t.Errorf("shutdown: %v", e)
		}
	}()
	s, peer, e := b.Accept(l)
	must(t, e)
	if peer.Addr() != netip.MustParseAddr("192.168.0.1") || peer.Port() < firstEphemeral {
		t.Errorf("the peer is %v", peer)
	}
	var got []byte
	buf := make([]byte, 5000)
	for {
		n, e := b.Read(s, buf, 0)
		must(t, e)
		if n == 0 {
			break
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d came, or others", len(got), len(sent))
	}
	must(t, b.CloseFile(s))
	must(t, a.CloseFile(c))
	must(t, b.CloseFile(l))
}

// TestCloseEndsWaiting has calls that wait return when their descriptor is closed, or the stack.
func TestCloseEndsWaiting(t *testing.T) {
	s, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	fds := [2]int{}
	result := make(chan syscall.Errno, len(fds))
	for i := range fds {
		fd, e := s.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, e)
		must(t, s.Listen(fd, 1))
		fds[i] = fd
		go func() {
			_, _, e := s.Accept(fd)
			result <- e
		}()
	}
	time.Sleep(10 * time.Millisecond)
	must(t, s.CloseFile(fds[0]))
	if e := <-result; e != syscall.EBADF {
		t.Errorf("accept on a descriptor that was closed: %v", e)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if e := <-result; e != syscall.EBADF {
		t.Errorf("accept on a stack that was closed: %v", e)
	}
	unix.Close(fds[1])
}

// TestFlags: a flag that makes no sense is refused.
func TestFlags(t *testing.T) {
	for _, f := range []string{"local=x", "local=::1", "mtu=x", "nonsense=1", "min_rto=x", "receive_timeout=1", "mss=1"} {
		if s, err := New(f); err == nil {
			t.Errorf("%s was accepted", f)
			s.Close()
		}
	}
}

// TestInjectRubbish: packets that are damaged or for nobody are dropped.
func TestInjectRubbish(t *testing.T) {
	s, err := New("receive_timeout=1ms")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, p := range [][]byte{nil, {0x45}, make([]byte, 40), bytes.Repeat([]byte{0x45}, 100)} {
		if e := s.Inject(p); e != 0 {
			t.Errorf("%x: %v", p, e)
		}
	}
	if n, _, e := s.Receive(make([]byte, 100)); n != 0 || e != 0 {
		t.Errorf("%d bytes were sent, %v", n, e)
	}
}

package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/fdpass/fdtest"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// offered hands a stack's description over as another process would get it.
func offered(t testing.TB, s *Stack) *Handover {
	t.Helper()
	h, err := s.Offer()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	a, b := fdtest.Pair(t)
	sent := make(chan error, 1)
	go func() { sent <- h.Send(a) }()
	got, err := ReceiveHandover(b)
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	return got
}

// upgrade gives a stack's interface to another one, on which listen opens ports, and returns that.
func upgrade(t testing.TB, l *netlab.Lab, old *Stack, cfg Config, listen func(*Stack) error) *Stack {
	t.Helper()
	h := offered(t, old)
	defer h.Close()
	if cfg.Interface = l.Stack.Interface; !cfg.Shared {
		cfg.Address = l.Stack.Address
	}
	var young *Stack
	if err := l.Stack.Do(func() (err error) { young, err = Adopt(cfg, h); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := young.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	if err := listen(young); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	state, err := old.Suspend()
	if err != nil {
		t.Fatal(err)
	}
	if err := young.TakeUp(state); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	if err := errors.Join(old.LetGo(), young.Settle()); err != nil {
		t.Fatal(err)
	}
	t.Logf("nobody received for %v on %s", took, young.Describe())
	for i, q := range young.Interface().Queues() {
		if was := old.Interface().Queues()[i].Mode().ZeroCopy; q.Mode().ZeroCopy != was {
			t.Errorf("queue %d: zero-copy was %v, and is %v", i, was, q.Mode().ZeroCopy)
		}
	}
	return young
}

// transferLoad is what the kernel's clients do while a stack changes hands.
type transferLoad struct {
	connects, bytes atomic.Int64
	slowest         atomic.Int64 // ns that a connection with its echo took
	stop            chan struct{}
	done            sync.WaitGroup
}

// startTransfers opens connections one after the other in each of so many goroutines, and has so many others send random bytes to an echo all
// the time, which must come back as they were.
func startTransfers(t testing.TB, l *netlab.Lab, at string, openers, streams int) *transferLoad {
	load := &transferLoad{stop: make(chan struct{})}
	stopped := func() bool {
		select {
		case <-load.stop:
			return true
		default:
			return false
		}
	}
	for i := range openers {
		load.done.Go(func() {
			message := []byte(fmt.Sprintf("hello from %d", i))
			for !stopped() {
				start := time.Now()
				if err := greet(l, at, message); err != nil {
					t.Errorf("connection %d: %v", load.connects.Load(), err)
					return
				}
				for took := int64(time.Since(start)); ; {
					if before := load.slowest.Load(); took <= before || load.slowest.CompareAndSwap(before, took) {
						break
					}
				}
				load.connects.Add(1)
			}
		})
	}
	for i := range streams {
		c, err := l.Kernel.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		load.done.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			sent, got := sha256.New(), sha256.New()
			var length int64
			go func() {
				defer c.(*net.TCPConn).CloseWrite()
				random := rand.NewChaCha8([32]byte{byte(i)})
				buf := make([]byte, 16<<10)
				for !stopped() {
					random.Read(buf)
					sent.Write(buf)
					if _, err := c.Write(buf); err != nil {
						t.Errorf("stream %d: write: %v", i, err)
						return
					}
					length += int64(len(buf))
				}
			}()
			n, err := io.Copy(got, c)
			if err != nil || n != length || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
				t.Errorf("stream %d: %d bytes came back of %d (%v), or others", i, n, length, err)
			}
			load.bytes.Add(n)
		})
	}
	return load
}

// greet makes one connection to an echo.
func greet(l *netlab.Lab, at string, message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := l.Kernel.DialContext(ctx, "tcp", at)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(message); err != nil {
		return err
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		return fmt.Errorf("%q came back", got)
	}
	return nil
}

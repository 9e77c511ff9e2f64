//go:build nic

package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// load is a connection over which data goes there and back all the time.
type load struct {
	c    net.Conn
	back atomic.Uint64 // bytes that came back
	err  atomic.Value
}

func startLoad(t *testing.T, c net.Conn) *load {
	l := &load{c: c}
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	go func() {
		for {
			if _, err := c.Write(chunk); err != nil {
				l.err.CompareAndSwap(nil, fmt.Errorf("write: %w", err))
				return
			}
		}
	}()
	go func() {
		buf := make([]byte, len(chunk))
		for {
			if _, err := io.ReadFull(c, buf); err != nil {
				l.err.CompareAndSwap(nil, fmt.Errorf("read: %w", err))
				return
			}
			if !bytes.Equal(buf, chunk) {
				l.err.CompareAndSwap(nil, fmt.Errorf("what came back is damaged"))
				return
			}
			l.back.Add(uint64(len(buf)))
		}
	}()
	return l
}

// wait waits until so many more bytes have come back, and returns how long that took.
func (l *load) wait(t *testing.T, more uint64) time.Duration {
	t.Helper()
	start, from := time.Now(), l.back.Load()
	for l.back.Load() < from+more {
		if err := l.err.Load(); err != nil {
			t.Fatalf("the connection ended: %v", err)
		}
		if time.Since(start) > patience {
			t.Fatalf("only %d of %d bytes came back in %v", l.back.Load()-from, more, patience)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(start)
}

// patience is what a test in a virtual machine waits for something that takes a second at most on a real one.
const patience = 40 * time.Second

// outage has the link of a side lost for a moment.
func outage(s *netlab.Side) error {
	if err := s.SetDown(); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond)
	return s.SetUp()
}

// TestCardLinkLife changes a card under a connection in bulk: its traffic goes on by itself each time. At the end every frame is back.
func TestCardLinkLife(t *testing.T) {
	log := &eventLog{}
	s, l := openOnCards(t, netlab.Config{}, Config{LinkEvent: log.add})
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	rx, tx, err := l.Stack.Rings()
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ld := startLoad(t, c)
	ld.wait(t, 256<<10)
	for _, e := range []struct {
		what   string
		change func() error
		may    error // the driver may refuse it
	}{
		{"interface down and up", func() error { return outage(l.Stack) }, nil},
		{"other MTUs, old MTU", func() error {
			if err := l.Stack.SetMTU(1400); err != nil {
				return err
			}
			// igb refuses this, as its program cannot take it, virtio_net does not look.
			if err := l.Stack.SetMTU(9000); err != nil && !errors.Is(err, syscall.EINVAL) {
				return err
			}
			return l.Stack.SetMTU(1500)
		}, nil},
		{"other rings, old rings", func() error { return errors.Join(l.Stack.SetRings(rx/2, tx/2), l.Stack.SetRings(rx, tx)) }, nil},
		{"more queues, old queues", func() error {
			if err := l.Stack.SetQueues(2); err != nil {
				return err
			}
			log.wait(t, LinkQueues)
			return l.Stack.SetQueues(1)
		}, syscall.EINVAL}, // a card that has one
		{"autonegotiation", l.Stack.Renegotiate, syscall.EOPNOTSUPP},
	} {
		start := time.Now()
		err := e.change()
		if err != nil && (e.may == nil || !errors.Is(err, e.may)) {
			t.Fatalf("%s: %v", e.what, err)
		}
		changed := time.Since(start)
		took := ld.wait(t, 64<<10)
		t.Logf("%-28s %4d ms, refused: %v; traffic after %d ms", e.what, changed.Milliseconds(), err, took.Milliseconds())
	}
	c.Close()
	wantFramesBack(t, s)
	r, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Link(); st.Downs == 0 || st.MTUChanges < 2 || r[0].Device.Queue.KickErrors != 0 {
		t.Errorf("%+v, %+v", st, r[0].Device.Queue)
	}
	t.Logf("%+v, kicks while down: %d", s.Link(), r[0].Device.Queue.KickDown)
}

// wantFramesBack waits until no frame is held or in transmission.
func wantFramesBack(t *testing.T, s *Stack) {
	t.Helper()
	var a frame.Account
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		if a = r[0].Frames; a.Held == 0 && a.TX == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("frames are missing: %+v", a)
		}
	}
	s.shards[0].call(func(sh *Shard) {
		if err := sh.pool.Check(); err != nil {
			t.Error(err)
		}
	})
}

// TestCardDriverUnbound takes the card from its driver under load, as a reset of the device or a new driver does. The stack ends with an
// error, all its frames are back, and another is opened when the interface is.
func TestCardDriverUnbound(t *testing.T) {
	log := &eventLog{}
	var first *Stack
	t.Cleanup(func() {
		if p := first.shards[0].pool; p.Check() != nil || p.Free() != p.Size() {
			t.Errorf("%v, %+v", p.Check(), p.Account())
		}
	})
	s, l := openOnCards(t, netlab.Config{}, Config{LinkEvent: log.add})
	first = s
	ln, err := s.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	startLoad(t, c).wait(t, 64<<10)
	err = l.Stack.Rebind(func() {
		if _, err := ln.Accept(); !errors.Is(err, afxdp.ErrGone) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		log.wait(t, LinkGone)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Stack.SetUp(); err != nil {
		t.Fatal(err)
	}
	if err := l.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	var second *Stack
	err = l.Stack.Do(func() (err error) {
		second, err = Open(Config{Interface: l.Stack.Interface, Address: l.Stack.Address})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := second.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	again, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	startLoad(t, again).wait(t, 64<<10)
}

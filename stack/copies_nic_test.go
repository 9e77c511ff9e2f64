//go:build nic

package stack

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/copycount"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestNICCopies has the kernel count how many frames it copies while the stack receives and sends in bulk: with zero-copy none,
// in copy mode each.
func TestNICCopies(t *testing.T) {
	for _, mode := range []afxdp.Mode{afxdp.ModeZeroCopy, afxdp.ModeCopy} {
		t.Run(mode.String(), func(t *testing.T) {
			var cfg Config
			cfg.AFXDP.Mode = mode
			lab := netlab.ForCards(t, netlab.Config{})
			counter, err := copycount.Open()
			if errors.Is(err, copycount.ErrUnsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer counter.Close()
			cfg.Interface, cfg.Address = lab.Stack.Interface, lab.Stack.Address
			var s *Stack
			if err := lab.Stack.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			if err := lab.WaitCarrier(); err != nil {
				t.Fatal(err)
			}
			thereAndBack(t, s, lab, 8<<20)

			if m := s.Interface().Queues()[0].Mode(); m.ZeroCopy != (mode == afxdp.ModeZeroCopy) {
				t.Errorf("the mode is %v", m)
			}
			received, sent, n := counted(t, s, counter, mode == afxdp.ModeCopy)
			t.Logf("%d packets received, %d sent; %v", received, sent, n)
			if received < 4000 || sent < 4000 {
				t.Error("that is too little to show anything")
			}
			if mode == afxdp.ModeZeroCopy && n.Copies()+n.Sends+n.Missed != 0 {
				t.Error("packets were copied with zero-copy")
			}
			if mode == afxdp.ModeCopy && (!n.Agree(received, sent) || n.Missed > received/10) {
				t.Error("in copy mode not all packets were copied")
			}
		})
	}
}

// counted returns how many packets the stack says that it received and sent, and what the kernel counted. With agree, it waits
// until both agree: the last packets may be under way.
func counted(t *testing.T, s *Stack, counter *copycount.Counter, agree bool) (received, sent uint64, n copycount.Counts) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		reports, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		if n, err = counter.Read(); err != nil {
			t.Fatal(err)
		}
		q := reports[0].Device.Queue
		received, sent = q.RxPackets, q.TxPackets
		if !agree || n.Agree(received, sent) || time.Now().After(end) {
			return received, sent, n
		}
	}
}

// thereAndBack has the kernel's TCP send so many bytes to the stack and receive as many.
func thereAndBack(t *testing.T, s *Stack, lab *netlab.Lab, size int64) {
	t.Helper()
	ln, err := s.Listen("tcp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.CopyN(io.Discard, c, size)
		}
		if err == nil {
			_, err = io.CopyN(c, zeros{}, size)
		}
		done <- err
	}()
	c, err := lab.Kernel.Dial("tcp", addr(s.Address(), 9000))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if n, err := io.CopyN(c, zeros{}, size); err != nil {
		t.Fatalf("sent %d bytes: %v", n, err)
	}
	if n, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Fatalf("received %d bytes: %v", n, err)
	}
	if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

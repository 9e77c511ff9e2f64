package stack

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestKernelThroughSplice has the kernel's TCP talk to itself through a proxy on the stack, which passes the frames on that the
// XDP socket has received.
func TestKernelThroughSplice(t *testing.T) {
	forEachDriver(t, netlab.Config{}, func(t *testing.T, s *Stack, l *netlab.Lab) {
		front, err := s.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		back, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 80))
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		go func() { // an echo
			if c, err := back.Accept(); err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
		go func() {
			c, err := front.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			b, err := s.Dial("tcp", addr(l.Kernel.Address, 80))
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			defer b.Close()
			go func() {
				io.Copy(b, c)
				b.(*TCPConn).CloseWrite()
			}()
			if _, err := io.Copy(c, b); err != nil {
				t.Errorf("copy: %v", err)
			}
		}()
		c, err := l.Kernel.Dial("tcp", addr(s.Address(), 80))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		data := randomBytes(16 << 20)
		go func() {
			c.Write(data)
			c.(*net.TCPConn).CloseWrite()
		}()
		start := time.Now()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d of %d bytes came back, %v", len(got), len(data), err)
		}
		r, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		st := r[0].Stats
		t.Logf("%d MiB there and back in %v; %d frames came in, %d were passed on", len(data)>>20, time.Since(start),
			st.Rx.Frames, st.TCP.FramesPassed)
		if st.TCP.FramesPassed == 0 {
			t.Error("no frame was passed on as it was")
		}
	})
}

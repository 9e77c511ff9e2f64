package stack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// largeMTUs are those whose packets lie in several frames: of network cards, and the largest that veth has.
var largeMTUs = []int{9000, 65535}

func forLargeMTUs(t *testing.T, test func(t *testing.T, s *Stack, l *netlab.Lab)) {
	for _, mtu := range largeMTUs {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			s, l := openOnVeth(t, netlab.Config{MTU: mtu}, Config{})
			if m := s.Interface().Queues()[0].Mode(); s.MTU() != mtu || !m.MultiBuffer {
				t.Fatalf("MTU %d, %+v", s.MTU(), m)
			}
			test(t, s, l)
		})
	}
}

func TestKernelPingsLarge(t *testing.T) {
	if _, missing := exec.LookPath("ping"); missing != nil {
		t.Skip("no ping command; install iputils-ping")
	}
	forLargeMTUs(t, func(t *testing.T, s *Stack, l *netlab.Lab) {
		for _, size := range []string{"56", "3798", "3799", "8000", "8972", "60000", "65507"} {
			out, err := l.Kernel.Command(context.Background(), "ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", size,
				s.Address().Addr().String()).CombinedOutput()
			if err != nil || !strings.Contains(string(out), " 0% packet loss") {
				t.Errorf("size %s: %v\n%s", size, err, out)
			}
		}
	})
}

func TestKernelSendsLargeDatagrams(t *testing.T) {
	forLargeMTUs(t, func(t *testing.T, s *Stack, l *netlab.Lab) {
		datagramsBothWays(t, s, l, 1, 1472, 3798, 3799, 8972, 8973, 65507)
	})
}

// TestKernelTransfersLarge sends data through an echo on the stack and one on the kernel, in segments of several frames both ways, and
// compares.
func TestKernelTransfersLarge(t *testing.T) {
	forLargeMTUs(t, func(t *testing.T, s *Stack, l *netlab.Lab) {
		if _, err := s.Handle(":7", &slowEcho{}); err != nil {
			t.Fatal(err)
		}
		ln, err := l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			if c, err := ln.Accept(); err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
		const size = 64 << 20
		for name, dial := range map[string]func() (net.Conn, error){
			"echo on the stack":  func() (net.Conn, error) { return l.Kernel.Dial("tcp", addr(s.Address(), 7)) },
			"echo on the kernel": func() (net.Conn, error) { return s.Dial("tcp", addr(l.Kernel.Address, 7)) },
		} {
			c, err := dial()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			c.SetDeadline(time.Now().Add(30 * time.Second))
			start := time.Now()
			echoed(t, name, c, size)
			c.Close()
			t.Logf("%s: %d MiB there and back in %v", name, size>>20, time.Since(start))
		}
		reports, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		q := reports[0].Device.Queue
		for what, n := range map[string][2]uint64{
			"received": {q.RxBytes, q.RxPackets}, "sent": {q.TxBytes, q.TxPackets},
		} {
			if mean := int(n[0] / n[1]); mean < s.MTU()/4 {
				t.Errorf("packets that were %s have %d bytes in the mean: %+v", what, mean, q)
			}
		}
	})
}

// echoed sends size bytes over a connection to an echo and compares what comes back.
func echoed(t *testing.T, name string, c net.Conn, size int) {
	t.Helper()
	block := make([]byte, 128<<10)
	for i := range block {
		block[i] = byte(i*i>>5 + i)
	}
	go func() {
		for n := 0; n < size; n += len(block) {
			if _, err := c.Write(block); err != nil {
				t.Errorf("%s: write: %v", name, err)
				return
			}
		}
	}()
	got := make([]byte, len(block))
	for n := 0; n < size; n += len(block) {
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, block) {
			t.Fatalf("%s: the echo differs within the %d bytes from %d on, %v", name, len(block), n, err)
		}
	}
}

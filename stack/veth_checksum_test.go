package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestKernelTakesDeviceChecksums leaves the checksums to the device, or to the kernel for it, and has the kernel at the other end
// take segments and datagrams of every kind, resets and fragments too. It counts none as damaged.
func TestKernelTakesDeviceChecksums(t *testing.T) {
	for _, test := range []struct {
		name   string
		lab    netlab.Config
		leaves bool // the kernel leaves them to the device, which is a veth: they stay unfinished
	}{
		{"kernel", netlab.Config{}, false},
		{"device", netlab.Config{}, true},
		{"several frames", netlab.Config{MTU: 9000}, false},
		{"several frames, device", netlab.Config{MTU: 9000}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{AFXDP: afxdp.Options{Mode: afxdp.ModeCopy, TxChecksum: afxdp.TxChecksumDevice}}
			if _, cards, _ := netlab.CardsOfEnvironment(); cards && !test.leaves {
				t.Skip("a card takes seconds to open, and whether it or the kernel computes makes no difference to the stack")
			}
			s, l := openOnVeth(t, test.lab, cfg)
			if err := l.Stack.LeaveChecksums(test.leaves); err != nil {
				t.Fatal(err)
			}
			if m := s.Interface().Queues()[0].Mode(); !m.TxChecksum {
				t.Skipf("the kernel has no metadata: %v", m.NoTxChecksum)
			}
			if m := s.Interface().Queues()[0].Mode(); test.lab.MTU > 1500 && !m.MultiBuffer {
				t.Skipf("needs packets of several frames: %v", m.NoMultiBuffer)
			}
			kernelTakes(t, s, l)
		})
	}
}

// kernelTakes has the kernel take all that a stack sends, and count none of it as damaged.
func kernelTakes(t *testing.T, s *Stack, l *netlab.Lab) {
	t.Helper()
	transferBothWays(t, s, l)
	datagramsBothWays(t, s, l, packetsAndFragments...)
	if _, err := l.Kernel.Dial("tcp", addr(s.Address(), 99)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port where nobody listens: %v", err)
	}
	if damaged := checksumErrors(t, l); damaged != "" {
		t.Errorf("the kernel counts damaged packets: %s", damaged)
	}
}

// transferBothWays sends data through an echo on the stack.
func transferBothWays(t *testing.T, s *Stack, l *netlab.Lab) {
	t.Helper()
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 7))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	sent := make([]byte, 128<<10+1)
	if l.Veth() {
		sent = make([]byte, 2<<20+1)
	}
	for i := range sent {
		sent[i] = byte(i>>16) + byte(i*i>>3)
	}
	go func() {
		if _, err := c.Write(sent); err != nil {
			t.Errorf("write: %v", err)
		}
		c.(*net.TCPConn).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("of %d bytes %d came back, or others: %v", len(sent), len(got), err)
	}
}

// packetsAndFragments are sizes of datagrams that lie in one packet of 1500 bytes, and of others that take several.
var packetsAndFragments = []int{0, 1, 1471, 1472, 1473, 5000, 20000}

// datagramsBothWays sends datagrams of so many bytes to the stack and back.
func datagramsBothWays(t *testing.T, s *Stack, l *netlab.Lab, sizes ...int) {
	t.Helper()
	pc, err := s.ListenPacket("udp", ":9")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := l.Kernel.Dial("udp", addr(s.Address(), 9))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 1<<16)
	for _, n := range sizes {
		sent := bytes.Repeat([]byte{byte(n), byte(n >> 8), 7}, n)[:n]
		c.SetDeadline(time.Now().Add(5 * time.Second))
		pc.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		k, from, err := pc.ReadFrom(got)
		if err != nil || !bytes.Equal(got[:k], sent) {
			t.Fatalf("%d bytes to the stack: got %d, %v", n, k, err)
		}
		if _, err := pc.WriteTo(sent, from); err != nil {
			t.Fatal(err)
		}
		if k, err = c.Read(got); err != nil || !bytes.Equal(got[:k], sent) {
			t.Fatalf("%d bytes back: got %d, %v", n, k, err)
		}
	}
}

// checksumErrors returns what the kernel counts of packets with wrong checksums, "" if nothing.
func checksumErrors(t *testing.T, l *netlab.Lab) (damaged string) {
	t.Helper()
	err := l.Kernel.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		lines := strings.Split(string(b), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
			for k := range min(len(names), len(values)) {
				if names[k] == "InCsumErrors" && values[k] != "0" {
					damaged += fmt.Sprint(names[0], " ", values[k], " ")
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return damaged
}

package stack

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
	"github.com/xdpstack/xdpstack/tcp"
)

// allowFastOpen lets the kernel on the other side use Fast Open as client and as server.
func allowFastOpen(t *testing.T, side *netlab.Side) {
	t.Helper()
	err := side.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/tcp_fastopen", []byte("3"), 0) })
	if err != nil {
		t.Skipf("the kernel has no Fast Open: %v", err)
	}
}

// kernelCount returns one of the kernel's TCP counters.
func kernelCount(t *testing.T, side *netlab.Side, name string) (n int) {
	t.Helper()
	var text []byte
	err := side.Do(func() (err error) { text, err = os.ReadFile("/proc/thread-self/net/netstat"); return err })
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines[:len(lines)-1] {
		names, values := strings.Fields(line), strings.Fields(lines[i+1])
		for j := range names {
			if names[j] == name && j < len(values) {
				if _, err := fmt.Sscan(values[j], &n); err == nil {
					return n
				}
			}
		}
	}
	t.Fatalf("the kernel does not count %s", name)
	return 0
}

// dialFast connects from the kernel with TCP_FASTOPEN_CONNECT: with a cookie, the SYN goes with the first Write.
func dialFast(t *testing.T, side *netlab.Side, to [4]byte, port int) net.Conn {
	t.Helper()
	var fd int
	err := side.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1); err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: to})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "kernel's connection")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// listenFast listens in the kernel with Fast Open.
func listenFast(t *testing.T, side *netlab.Side, port int) net.Listener {
	t.Helper()
	var fd int
	err := side.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: side.Address.Addr().As4()}); err != nil {
			return err
		}
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 16); err != nil {
			return err
		}
		return unix.Listen(fd, 16)
	})
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "kernel's listener")
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// echoOver sends data over a connection to an echo and compares what comes back.
func echoOver(t *testing.T, c net.Conn, size int) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	data, got := make([]byte, size), make([]byte, size)
	rand.Read(data)
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("the echo of %d bytes differs, error %v", size, err)
	}
}

// TestFastOpenFromKernel has Linux as the client: its second connection brings data on the SYN, and both sides count it.
func TestFastOpenFromKernel(t *testing.T) {
	s, l := openOnVeth(t, netlab.Config{Queues: 2}, Config{TCP: tcp.Config{FastOpen: tcp.FastOpenServer}})
	allowFastOpen(t, l.Kernel)
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	sizes := []int{500, 500, 1, 1300, 5000, 30_000}
	for i, size := range sizes {
		echoOver(t, dialFast(t, l.Kernel, s.Address().Addr().As4(), 7), size)
		if n := kernelCount(t, l.Kernel, "TCPFastOpenActive"); n != i {
			t.Errorf("after %d connections the kernel has had data taken from %d SYNs, want %d", i+1, n, i)
		}
	}
	var opened, requests uint64
	reports, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		opened += r.Stats.TCP.Listen.FastOpens
		requests += r.Stats.TCP.Listen.FastOpenRequests
	}
	if requests != 1 || opened != uint64(len(sizes)-1) {
		t.Errorf("%d cookies given, %d connections opened with one, want 1 and %d", requests, opened, len(sizes)-1)
	}
}

// TestFastOpenToKernel has Linux as the server: the second connection's data goes with the SYN, and both sides count it.
func TestFastOpenToKernel(t *testing.T) {
	s, l := openOnVeth(t, netlab.Config{}, Config{TCP: tcp.Config{FastOpen: tcp.FastOpenClient}})
	allowFastOpen(t, l.Kernel)
	ln := listenFast(t, l.Kernel, 7)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	sizes := []int{500, 500, 1, 1300, 5000, 30_000}
	for i, size := range sizes {
		c, err := s.Dial("tcp", addr(l.Kernel.Address, 7))
		if err != nil {
			t.Fatal(err)
		}
		echoOver(t, c, size)
		if n := kernelCount(t, l.Kernel, "TCPFastOpenPassive"); n != i {
			t.Errorf("after %d connections the kernel has taken data from %d SYNs, want %d", i+1, n, i)
		}
	}
	reports, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	st := reports[0].Stats.TCP
	if st.FastOpenAsked != 1 || st.FastOpenSYNs != uint64(len(sizes)-1) || st.FastOpenData != st.FastOpenSYNs {
		t.Errorf("%d cookies asked for, %d SYNs with data, %d of them taken", st.FastOpenAsked, st.FastOpenSYNs, st.FastOpenData)
	}
}

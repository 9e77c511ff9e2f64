package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// openShared opens a stack that shares the address of the kernel on its side.
func openShared(t testing.TB, lab netlab.Config, cfg Config) (*Stack, *netlab.Lab) {
	t.Helper()
	lab.BothKernel = true
	l := netlab.ForTest(t, lab)
	return openSharedIn(t, l, cfg), l
}

func openSharedIn(t testing.TB, l *netlab.Lab, cfg Config) *Stack {
	t.Helper()
	cfg.Shared = true
	if cfg.Interface == "" {
		cfg.Interface = l.Stack.Interface
	}
	var s *Stack
	if err := l.Stack.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	if err := l.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	return s
}

// chat sends lines to an echo over a connection, one after another, until it is stopped, and counts those that came back.
type chat struct {
	conn  net.Conn
	count atomic.Int64
	done  chan error
	stop  atomic.Bool
}

func newChat(t testing.TB, c net.Conn, err error) *chat {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	h := &chat{conn: c, done: make(chan error, 1)}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() {
		line, back := []byte("a line that comes back as it was\n"), make([]byte, 33)
		for !h.stop.Load() {
			if _, err := c.Write(line); err != nil {
				h.done <- err
				return
			}
			if _, err := io.ReadFull(c, back); err != nil || string(back) != string(line) {
				h.done <- fmt.Errorf("got %q, %w", back, err)
				return
			}
			h.count.Add(1)
		}
		h.done <- nil
	}()
	return h
}

// goesOn waits until more lines have come back.
func (h *chat) goesOn(t testing.TB, what string) {
	t.Helper()
	before := h.count.Load()
	eventually(t, what+": the connection goes on", func() bool { return h.count.Load() > before+10 })
}

func (h *chat) end(t testing.TB, what string) {
	t.Helper()
	h.stop.Store(true)
	if err := <-h.done; err != nil {
		t.Errorf("%s: %v", what, err)
	}
	h.conn.Close()
}

// echoOn is an echo of the kernel's.
func echoOn(t testing.TB, side *netlab.Side, address string) net.Listener {
	t.Helper()
	ln, err := side.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go serveEach(ln, func(c net.Conn) { io.Copy(c, c) })
	return ln
}

// TestSharedBesideKernel has the stack and the kernel use one address at the same time: each serves and dials, and the kernel
// answers ping and ARP.
func TestSharedBesideKernel(t *testing.T) {
	for _, queues := range []int{1, 2} {
		s, l := openShared(t, netlab.Config{Queues: queues}, Config{})
		if got := s.Address(); got != l.Stack.Address {
			t.Errorf("address %v, want %v", got, l.Stack.Address)
		}
		if _, err := s.Handle(":7", &slowEcho{}); err != nil {
			t.Fatal(err)
		}
		echoOn(t, l.Stack, addr(l.Stack.Address, 22))
		echoOn(t, l.Kernel, addr(l.Kernel.Address, 7))
		dial := func(c net.Conn, err error) *chat { return newChat(t, c, err) }
		chats := map[string]*chat{
			"from outside to the stack":         dial(l.Kernel.Dial("tcp", addr(l.Stack.Address, 7))),
			"from outside to the kernel":        dial(l.Kernel.Dial("tcp", addr(l.Stack.Address, 22))),
			"from the stack to outside":         dial(s.Dial("tcp", addr(l.Kernel.Address, 7))),
			"from the kernel beside to outside": dial(l.Stack.Dial("tcp", addr(l.Kernel.Address, 7))),
		}
		runOn(t, l.Kernel, "ip", "neigh", "flush", "dev", l.Kernel.Interface)
		runOn(t, l.Kernel, "ping", "-c", "3", "-i", "0.05", "-W", "5", s.Address().Addr().String())
		for what, h := range chats {
			h.goesOn(t, what)
			h.end(t, what)
		}
		n, err := s.Interface().Program().Counters()
		if err != nil || n.Passed.Port == 0 || n.Redirected.TCP == 0 || n.Passed.ARP == 0 || n.Passed.ICMP == 0 || n.Redirected.ARP != 0 {
			t.Errorf("%+v, %v", n, err)
		}
		s.Close()
		if c, err := l.Kernel.Dial("tcp", addr(l.Stack.Address, 7)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after the stack: %v, %v", c, err)
		}
		echoOn(t, l.Stack, addr(l.Stack.Address, 7)) // the port is free again
	}
}

// sendsBack sends datagrams back until the test ends.
func sendsBack(t *testing.T, u net.PacketConn, err error) net.PacketConn {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	go func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			u.WriteTo(buf[:n], from)
		}
	}()
	return u
}

// asks sends datagrams of a size one after another, and wants each back.
func asks(t *testing.T, size int, c net.Conn, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	sent, buf := make([]byte, size), make([]byte, maxDatagram)
	for i := range 5 { // the first may be lost while the hardware address is asked for, but is not
		for j := range sent {
			sent[j] = byte(i + j + j>>8)
		}
		if _, err := c.Write(sent); err != nil {
			t.Errorf("%d bytes to %v: %v", size, c.RemoteAddr(), err)
			return
		}
		if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], sent) {
			t.Errorf("%d bytes to %v: %d came back, %v", size, c.RemoteAddr(), n, err)
			return
		}
	}
}

// TestSharedUDP has datagrams go both ways.
func TestSharedUDP(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	u, err := s.ListenPacket("udp", ":53")
	sendsBack(t, u, err)
	c, err := l.Kernel.Dial("udp", addr(l.Stack.Address, 53))
	asks(t, 5, c, err)
	k, err := l.Kernel.ListenPacket("udp", addr(l.Kernel.Address, 53))
	sendsBack(t, k, err)
	c, err = s.Dial("udp", addr(l.Kernel.Address, 53))
	asks(t, 5, c, err)
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err := l.Stack.ListenPacket("udp", addr(l.Stack.Address, 53)); err != nil {
		t.Errorf("the port is not given back: %v", err)
	} else {
		p.Close()
	}
}

// TestSharedFragments has the kernel and the stack get datagrams in fragments, and send them, at the same time, each on ports of its own,
// while a TCP connection goes on.
func TestSharedFragments(t *testing.T) {
	for _, queues := range []int{1, 2} {
		s, l := openShared(t, netlab.Config{Queues: queues}, Config{})
		if _, err := s.Handle(":7", &slowEcho{}); err != nil {
			t.Fatal(err)
		}
		c, err := l.Kernel.Dial("tcp", addr(l.Stack.Address, 7))
		beside := newChat(t, c, err)
		u, err := s.ListenPacket("udp", ":53")
		sendsBack(t, u, err)
		k, err := l.Stack.ListenPacket("udp", ":54")
		sendsBack(t, k, err)
		k, err = l.Kernel.ListenPacket("udp", ":53")
		sendsBack(t, k, err)
		for _, sh := range s.shards { // else more packets would wait for the hardware address than may
			eventually(t, "the neighbour is known", func() (known bool) {
				sh.call(func(sh *Shard) { known, _ = sh.Reachable(l.Kernel.Address.Addr()) })
				return known
			})
		}
		var all sync.WaitGroup
		for _, size := range []int{1472, 1473, 4000, 30000, 60000} {
			small := min(size, 10000) // a kernel's receive buffer has no room for 41 fragments, as veth hands them over
			all.Go(func() {
				c, err := l.Kernel.Dial("udp", addr(l.Stack.Address, 53))
				asks(t, size, c, err)
			})
			all.Go(func() {
				c, err := l.Kernel.Dial("udp", addr(l.Stack.Address, 54)) // the kernel beside
				asks(t, small, c, err)
			})
			all.Go(func() {
				c, err := s.Dial("udp", addr(l.Kernel.Address, 53))
				asks(t, small, c, err)
			})
		}
		all.Wait()
		beside.goesOn(t, "beside fragments")
		beside.end(t, "beside fragments")
		n, err := s.Interface().Program().Counters()
		if err != nil || n.Redirected.Fragment == 0 || n.Passed.Fragment == 0 {
			t.Errorf("%+v, %v", n, err)
		}
		s.Close()
	}
}

// TestSharedPorts takes ports that the kernel's sockets have, and the other way round.
func TestSharedPorts(t *testing.T) {
	s, l := openShared(t, netlab.Config{}, Config{})
	echoOn(t, l.Stack, addr(l.Stack.Address, 22))
	owner := fmt.Sprintf("process %d", os.Getpid())
	for _, at := range []string{":22", addr(l.Stack.Address, 22)} {
		if ln, err := s.Listen("tcp", at); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), owner) {
			t.Errorf("%s: %v, %v", at, ln, err)
		}
	}
	ln, err := s.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen("tcp", ":80"); !errors.Is(err, ErrPortInUse) {
		t.Errorf("twice: %v", err)
	}
	for _, at := range []string{":80", addr(l.Stack.Address, 80), fmt.Sprintf(":%d", s.shared.dialPorts[7])} {
		if k, err := l.Stack.Listen("tcp", at); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the kernel has %s too: %v, %v", at, k, err)
		}
	}
	ln.Close()
	if ln, err = s.Listen("tcp", ":80"); err != nil {
		t.Fatalf("again: %v", err)
	}
	release := s.HoldPorts()
	ln.Close()
	time.Sleep(3 * firstRelease)
	if k, err := l.Stack.Listen("tcp", ":80"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is held: %v, %v", k, err)
	}
	release()
	kernelGets(t, l, ":80")
	one, err := s.Listen("tcp", addr(l.Stack.Address, 0))
	if err != nil || one.Addr().(*net.TCPAddr).Port == 0 {
		t.Errorf("a port of the kernel's choice: %v, %v", one, err)
	}
	if _, err := s.Listen("tcp", "10.77.0.99:81"); !errors.Is(err, ErrNotOwned) || !strings.Contains(err.Error(), "10.77.0.2/24") {
		t.Errorf("another address: %v", err)
	}
	second := func(cfg Config) error {
		cfg.Shared, cfg.Interface = true, l.Kernel.Interface
		return l.Kernel.Do(func() error {
			s, err := Open(cfg)
			if err == nil {
				s.Close()
			}
			return err
		})
	}
	if err := second(Config{Address: l.Kernel.Address}); !errors.Is(err, ErrConfig) {
		t.Errorf("Shared with an Address: %v", err)
	}
	if err := second(Config{DialPorts: 40000}); !errors.Is(err, ErrConfig) {
		t.Errorf("too many DialPorts: %v", err)
	}
	runOn(t, l.Kernel, "ip", "addr", "flush", "dev", l.Kernel.Interface)
	if err := second(Config{}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "ip addr add") {
		t.Errorf("no address: %v", err)
	}
}

// kernelGets waits until the kernel can have a port, and has it answer.
func kernelGets(t *testing.T, l *netlab.Lab, address string) {
	t.Helper()
	var ln net.Listener
	eventually(t, "the kernel gets "+address, func() (ok bool) {
		var err error
		ln, err = l.Stack.Listen("tcp", address)
		return err == nil
	})
	defer ln.Close()
	c, err := l.Kernel.Dial("tcp", l.Stack.Address.Addr().String()+address)
	if err != nil {
		t.Errorf("the port was given back, but is the stack's still: %v", err)
		return
	}
	c.Close()
}

// TestSharedPortIsGivenBack closes a port that has a connection: it is the stack's until that has ended, and can be opened again.
func TestSharedPortIsGivenBack(t *testing.T) {
	s, l := openShared(t, netlab.Config{Queues: 2}, Config{})
	for _, reopen := range []bool{false, true} {
		ln, err := s.Handle(":7", &slowEcho{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Kernel.Dial("tcp", addr(l.Stack.Address, 7))
		h := newChat(t, c, err)
		h.goesOn(t, "before")
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * firstRelease)
		if k, err := l.Stack.Listen("tcp", ":7"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the port of a connection is the kernel's: %v, %v", k, err)
		}
		h.goesOn(t, "of a port that is closed")
		if reopen {
			if ln, err = s.Handle(":7", &slowEcho{}); err != nil {
				t.Fatal(err)
			}
			h.end(t, "of a port that is open again")
			time.Sleep(5 * firstRelease)
			if k, err := l.Stack.Listen("tcp", ":7"); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("a port that is open again is the kernel's: %v, %v", k, err)
			}
			ln.Close()
		} else {
			h.end(t, "of a port that is closed")
		}
		kernelGets(t, l, ":7")
	}
}

// TestSharedDials dials more connections than there are ports, and from a port of the caller's choice.
func TestSharedDials(t *testing.T) {
	s, l := openShared(t, netlab.Config{Queues: 2}, Config{DialPorts: 8})
	echoOn(t, l.Kernel, addr(l.Kernel.Address, 7))
	echoOn(t, l.Kernel, addr(l.Kernel.Address, 8))
	ports := map[uint16]bool{}
	for _, p := range s.shared.dialPorts {
		ports[p] = true
	}
	for i := 0; ; i++ {
		c, err := s.Dial("tcp", addr(l.Kernel.Address, 7))
		if errors.Is(err, ErrNoPort) && i >= 4 && i <= 8 { // those of the shard whose turn it is are used up
			break
		}
		if err != nil || !ports[netip.MustParseAddrPort(c.LocalAddr().String()).Port()] {
			t.Fatalf("connection %d: %v, %v", i, c, err)
		}
		h := newChat(t, c, err)
		h.goesOn(t, "a dialed connection")
		defer h.end(t, "a dialed connection")
	}
	if c, err := s.Dial("tcp", addr(l.Kernel.Address, 8)); err != nil { // to another remote end all are free
		t.Error(err)
	} else {
		c.Close()
	}
	d := Dialer{Stack: s, LocalAddr: netip.MustParseAddrPort("0.0.0.0:20")}
	c, err := d.Dial("tcp", addr(l.Kernel.Address, 7))
	if err != nil || c.LocalAddr().String() != addr(l.Stack.Address, 20) {
		t.Fatalf("from a chosen port: %v, %v", c, err)
	}
	newChat(t, c, err).end(t, "from a chosen port")
	echoOn(t, l.Stack, addr(l.Stack.Address, 21))
	d.LocalAddr = netip.MustParseAddrPort("0.0.0.0:21")
	if c, err := d.Dial("tcp", addr(l.Kernel.Address, 7)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("from a port of the kernel's: %v, %v", c, err)
	}
}

// TestSharedAddressGoes takes the address from the kernel while connections are in use, and gives it back.
func TestSharedAddressGoes(t *testing.T) {
	log := &eventLog{}
	s, l := openShared(t, netlab.Config{}, Config{LinkEvent: log.add})
	if _, err := s.Handle(":7", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Kernel.Dial("tcp", addr(l.Stack.Address, 7))
	h := newChat(t, c, err)
	h.goesOn(t, "before")
	runOn(t, l.Stack, "ip", "addr", "del", l.Stack.Address.String(), "dev", l.Stack.Interface)
	if e := log.wait(t, LinkAddresses); len(e.Addresses) != 0 || !strings.Contains(e.String(), "no IPv4 address") {
		t.Errorf("%+v: %v", e, e)
	}
	if _, err := s.Dial("tcp", addr(l.Kernel.Address, 7)); !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("dial without an address: %v", err)
	}
	if s.Address().IsValid() {
		t.Errorf("address %v", s.Address())
	}
	for _, a := range []string{"10.77.0.3/24", l.Stack.Address.String()} { // another one first
		runOn(t, l.Stack, "ip", "addr", "add", a, "dev", l.Stack.Interface)
	}
	h.goesOn(t, "with the address again")
	h.end(t, "with the address again")
	c, err = l.Kernel.Dial("tcp", "10.77.0.3:7")
	newChat(t, c, err).end(t, "to the other address")
	echoOn(t, l.Kernel, addr(l.Kernel.Address, 7))
	c, err = s.Dial("tcp", addr(l.Kernel.Address, 7))
	newChat(t, c, err).end(t, "dialed")
	if got := c.LocalAddr().String(); !strings.HasPrefix(got, "10.77.0.3:") { // the other one is the network's second now
		t.Errorf("dialed from %s", got)
	}
	if _, err := exec.LookPath("ping"); err == nil {
		l.Kernel.Command(context.Background(), "ping", "-c", "1", "10.77.0.3").Run()
	}
}

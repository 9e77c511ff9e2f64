package reserve

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// bound reserves a port of the loopback address.
func bound(t *testing.T, protocol uint8) *Port {
	t.Helper()
	p, err := Bind(protocol, loopback, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestNobodyElse tries to listen on, to bind and to reserve reserved ports.
func TestNobodyElse(t *testing.T) {
	p := bound(t, TCP)
	at := fmt.Sprintf("127.0.0.1:%d", p.Number())
	if l, err := net.Listen("tcp", at); !errors.Is(err, syscall.EADDRINUSE) { // with SO_REUSEADDR
		t.Errorf("somebody else listens: %v, %v", l, err)
	}
	if l, err := net.Listen("tcp", fmt.Sprintf(":%d", p.Number())); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("somebody else listens on all addresses: %v, %v", l, err)
	}
	if c, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("who connects to it is not refused: %v, %v", c, err)
	}
	u := bound(t, UDP)
	if c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", u.Number())); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("somebody else has the UDP port: %v, %v", c, err)
	}
	if _, err := Bind(TCP, loopback, p.Number()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(),
		fmt.Sprintf("process %d (", os.Getpid())) {
		t.Errorf("reserved twice: %v", err)
	}
	p.Close()
	again, err := Bind(TCP, loopback, p.Number())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestOwnerIsNamed reserves ports that others have.
func TestOwnerIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	here := fmt.Sprintf("process %d (reserve.test) has it", os.Getpid())
	for _, tt := range []struct {
		protocol uint8
		at       net.Addr
		state    string
	}{{TCP, l.Addr(), "listening"}, {UDP, u.LocalAddr(), "bound"}} {
		port := netip.MustParseAddrPort(tt.at.String()).Port()
		for _, a := range []netip.Addr{loopback, netip.IPv4Unspecified()} {
			_, err := Bind(tt.protocol, a, port)
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), here) || !strings.Contains(err.Error(), tt.state) {
				t.Errorf("%v: %v", tt.at, err)
			}
		}
	}
	if _, err := Bind(TCP, netip.MustParseAddr("192.0.2.99"), 80); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("of an address that is not here: %v", err)
	}
}

// TestPortInTimeWait takes over the port of a server that has closed its connections itself.
func TestPortInTimeWait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	io.ReadAll(c)
	c.Close()
	l.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	for end := time.Now().Add(5 * time.Second); !onlyWaits(Owners(TCP, loopback, port)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in TIME-WAIT: %+v", Owners(TCP, loopback, port))
		}
	}
	if _, err := bind(TCP, loopback, port, false); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("TIME-WAIT does not hold the port: %v", err)
	}
	p, err := Bind(TCP, loopback, port)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if l, err := net.Listen("tcp", l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("somebody else listens on it: %v, %v", l, err)
	}
}

func TestBindSome(t *testing.T) {
	taken := bound(t, TCP)
	free := bound(t, TCP)
	free.Close()
	candidates := []uint16{taken.Number(), free.Number()}
	ports, err := BindSome(TCP, 3, func(i int) (uint16, bool) {
		if i < len(candidates) {
			return candidates[i], true
		}
		return 0, false
	})
	if err != nil || len(ports) != 1 || ports[0].Number() != free.Number() {
		t.Fatalf("%v, %v", ports, err)
	}
	ports[0].Close()
}

func FuzzParseSocket(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 26143 1 0000000000000000 100 0 0 10 0")
	f.Add("   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 06 0:0 03:00 0 0 0 0 3 0")
	f.Fuzz(func(t *testing.T, line string) {
		if s, ok := parseSocket(line, TCP); ok && s.state == "" {
			t.Errorf("%q: %+v", line, s)
		}
	})
}

// A port goes over to another process as a file, and stays reserved until the last of both has closed it.
func TestAdopt(t *testing.T) {
	for _, protocol := range []uint8{TCP, UDP} {
		p, err := Bind(protocol, netip.MustParseAddr("127.0.0.1"), 0)
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.File()
		if err != nil {
			t.Fatal(err)
		}
		q, got, at, err := Adopt(f)
		if err != nil || got != protocol || q.Number() != p.Number() || at != netip.MustParseAddr("127.0.0.1") {
			t.Fatalf("%v, protocol %d, %v, %v", q, got, at, err)
		}
		if err := errors.Join(f.Close(), p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
		if _, err := Bind(protocol, at, q.Number()); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("the port is free: %v", err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		again, err := Bind(protocol, at, p.Number())
		if err != nil {
			t.Fatalf("after both have closed it: %v", err)
		}
		again.Close()
	}
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, _, err := Adopt(f); err == nil {
		t.Error("a file that is no socket was taken for a port")
	}
}

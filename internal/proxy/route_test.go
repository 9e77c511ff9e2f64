package proxy

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// absent returns a target of a kind that refuses connections.
func absent(t *testing.T, kind string) Target {
	t.Helper()
	switch kind {
	case "unix":
		return mustTarget(t, "kernel:"+filepath.Join(t.TempDir(), "nobody"))
	case "stack":
		return mustTarget(t, "stack:192.0.2.2:82")
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return mustTarget(t, "kernel:"+ln.Addr().String())
}

// silent returns a target that does not answer: a socket whose backlog is full, or an address that nobody has.
func silent(t *testing.T, kind string) Target {
	t.Helper()
	if kind == "stack" {
		return mustTarget(t, "stack:192.0.2.77:80")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	where := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	c, err := net.Dial("tcp4", where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return mustTarget(t, "kernel:"+where)
}

// echoed has a client send a byte to the server and get it back.
func (w *world) echoed(t *testing.T) {
	t.Helper()
	client, server := w.connect(t)
	defer client.Close()
	defer server.Close()
	var b [1]byte
	if _, err := client.Write(b[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(b[:]); err != nil {
		t.Fatal(err)
	}
}

// TestAnotherTarget has connections go to the next target when one refuses, and leaves that one out for a while.
func TestAnotherTarget(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind, Config{Header: kind != "unix", Targets: []Target{absent(t, kind), absent(t, kind)}})
			began := time.Now()
			for range 20 {
				w.echoed(t)
			}
			w.settled(t)
			stats, err := w.proxy.Stats()
			if err != nil || stats.Another < 2 || stats.Refused != 0 || stats.Accepted != 20 {
				t.Errorf("%+v, %v", stats, err)
			}
			if most := 2 + 2*uint64(time.Since(began)/leftOut); stats.Another > most {
				t.Errorf("%d attempts failed of 20 connections, want at most %d: a target that fails is left out", stats.Another, most)
			}
		})
	}
}

// TestTargetsInTurn gives each target its share.
func TestTargetsInTurn(t *testing.T) {
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	w := newWorld(t, "kernel", Config{Targets: []Target{mustTarget(t, "kernel:"+other.Addr().String())}})
	for range 5 {
		for _, ln := range []net.Listener{other, w.server} {
			client := w.dial(t)
			_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			server.Close()
			client.Close()
		}
	}
}

// TestSilentTarget waits for a target as long as it was told, and goes to the next, or resets the client.
func TestSilentTarget(t *testing.T) {
	for _, kind := range []string{"kernel", "stack"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind, Config{Connect: 100 * time.Millisecond, Targets: []Target{silent(t, kind)}})
			w.echoed(t)
			w.settled(t)
			if stats, err := w.proxy.Stats(); err != nil || stats.Another != 1 || stats.Timeouts != 0 {
				t.Errorf("%+v, %v", stats, err)
			}
			if err := w.route.Set(Config{Connect: 100 * time.Millisecond, Targets: []Target{silent(t, kind)}}); err != nil {
				t.Fatal(err)
			}
			c := w.dial(t)
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a client whose target is silent reads: %v", err)
			}
			c.Close()
			w.settled(t)
			if stats, err := w.proxy.Stats(); err != nil || stats.Timeouts != 1 || stats.Refused != 0 {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}

// TestRouteChanges hands new connections on in another way, and leaves those that are open where they are.
func TestRouteChanges(t *testing.T) {
	w := newWorld(t, "kernel", Config{})
	client, server := w.connect(t)
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := w.route.Set(Config{Targets: []Target{mustTarget(t, "kernel:"+other.Addr().String())}}); err != nil {
		t.Fatal(err)
	}
	second := w.dial(t)
	_ = other.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	to, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, second} {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []net.Conn{server, to} {
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []net.Conn{client, server, second, to} {
		c.Close()
	}
	if err := w.route.Set(Config{Targets: []Target{mustTarget(t, "stack:192.0.2.2:81")}}); err == nil {
		t.Error("a route to the kernel became one through the stack")
	}
}

func TestConfigCheck(t *testing.T) {
	kernel, stack := mustTarget(t, "kernel:127.0.0.1:1"), mustTarget(t, "stack:192.0.2.2:1")
	for name, cfg := range map[string]Config{
		"no target":     {},
		"two kinds":     {Targets: []Target{kernel, stack}},
		"too many":      {Targets: make([]Target, maxTargets+1)},
		"before":        {Targets: []Target{kernel}, Connect: -1},
		"negative idle": {Targets: []Target{kernel}, Idle: -1},
	} {
		if err := cfg.Check(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

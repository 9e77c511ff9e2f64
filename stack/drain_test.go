package stack

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// drainable echoes what it gets, and ends connections when it is asked to, after one more byte.
type drainable struct{ slowEcho }

func (*drainable) Drain(c *Conn) {
	c.Write([]byte("."))
	c.Close()
}

// open connects and makes sure that the server has the connection.
func openEcho(t *testing.T, client *Stack, port string) net.Conn {
	t.Helper()
	c, err := client.Dial("tcp", prefixA.Addr().String()+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 2)
	if _, err := c.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestShutdown(t *testing.T) {
	server, client := newPair(t, Config{})
	if _, err := server.Handle(":7", &drainable{}); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Handle(":8", &slowEcho{}); err != nil {
		t.Fatal(err)
	}
	ln, err := server.Listen("tcp", ":9")
	if err != nil {
		t.Fatal(err)
	}
	go serveEach(ln, func(c net.Conn) { _, _ = io.Copy(c, c) })
	asked, ends, stays, goes := openEcho(t, client, ":7"), openEcho(t, client, ":8"), openEcho(t, client, ":8"), openEcho(t, client, ":9")

	ctx, cancel := context.WithCancel(t.Context())
	var drained Drained
	done := make(chan error, 1)
	left := make(chan int, 1000)
	go func() {
		var err error
		drained, err = server.Shutdown(ctx, func(n int) { left <- n })
		done <- err
	}()
	if b, err := io.ReadAll(asked); string(b) != "." || err != nil {
		t.Errorf("the one that is asked to end sends %q, %v", b, err)
	}
	asked.Close()
	for n := range left {
		if n == 3 {
			break
		}
	}
	for _, port := range []string{":7", ":8", ":9"} {
		if _, err := client.Dial("tcp", prefixA.Addr().String()+port); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("connect to port %s: %v, want a refusal", port, err)
		}
	}
	if _, err := server.Handle(":10", &slowEcho{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a new port: %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	for _, c := range []net.Conn{ends, goes} { // what is open works on, and ends with its peer
		if _, err := c.Write([]byte("more")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	for n := range left {
		if n == 1 {
			break
		}
	}
	select {
	case err := <-done:
		t.Fatalf("it ended before its time, with a connection open: %v", err)
	default:
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want := (Drained{Ended: 3, Reset: 1}); drained != want {
		t.Errorf("%+v, want %+v", drained, want)
	}
	if _, err := io.ReadAll(stays); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the one that stayed: %v, want a reset", err)
	}
	r, err := server.Report()
	if err != nil {
		t.Fatal(err)
	}
	if s := r[0].Stats; s.DrainAsked != 1 || s.DrainReset != 1 {
		t.Errorf("%d asked, %d reset", s.DrainAsked, s.DrainReset)
	}
}

// A peer that has got everything, and only does not close, is waited for only a little.
func TestShutdownDoesNotWaitForSilentPeers(t *testing.T) {
	server, client := newPair(t, Config{})
	if _, err := server.Handle(":7", &drainable{}); err != nil {
		t.Fatal(err)
	}
	c := openEcho(t, client, ":7")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, err := server.Shutdown(ctx, nil)
	if err != nil || ctx.Err() != nil || d != (Drained{Ended: 1}) {
		t.Errorf("%+v, %v, %v", d, err, ctx.Err())
	}
	if b, _ := io.ReadAll(c); string(b) != "." {
		t.Errorf("the peer got %q", b)
	}
}

// Draining one listener leaves the others' connections alone.
func TestListenerDrain(t *testing.T) {
	server, client := newPair(t, Config{})
	first, err := server.Handle(":7", &drainable{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Handle(":8", &drainable{}); err != nil {
		t.Fatal(err)
	}
	asked, other := openEcho(t, client, ":7"), openEcho(t, client, ":8")
	if err := first.Drain(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(asked); string(b) != "." || err != nil {
		t.Errorf("the one that is asked to end sends %q, %v", b, err)
	}
	if _, err := other.Write([]byte("on")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(other, make([]byte, 2)); err != nil {
		t.Errorf("the other listener's connection: %v", err)
	}
	if _, err := server.Handle(":7", &drainable{}); err != nil {
		t.Errorf("the port is not free again: %v", err)
	}
	if err := first.Drain(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("again: %v", err)
	}
}

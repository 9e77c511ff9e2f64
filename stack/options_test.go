package stack

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// TestNetConnOptions has the options of a net.Conn be set while it is open, and be refused with net.ErrClosed afterwards.
func TestNetConnOptions(t *testing.T) {
	a, b := newPair(t, Config{})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := a.Dial("tcp", "10.1.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	c := conn.(*TCPConn)
	options := map[string]func() error{
		"SetNoDelay":         func() error { return c.SetNoDelay(true) },
		"SetKeepAlive on":    func() error { return c.SetKeepAlive(true) },
		"SetKeepAlivePeriod": func() error { return c.SetKeepAlivePeriod(time.Minute) },
		"SetKeepAlive off":   func() error { return c.SetKeepAlive(false) },
		"SetKeepAliveConfig": func() error { return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}) },
		"SetCork":            func() error { return c.SetCork(false) },
		"SetQuickACK":        func() error { return c.SetQuickACK(true) },
		"SetCongestion":      func() error { return c.SetCongestion("newreno") },
		"SetMaxPacingRate":   func() error { return c.SetMaxPacingRate(1e6) },
		"SetLinger":          func() error { return c.SetLinger(5) },
		"SetMaxSegment":      func() error { return c.SetMaxSegment(1000) },
		"SetUserTimeout":     func() error { return c.SetUserTimeout(time.Minute) },
		"SetWriteBuffer":     func() error { return c.SetWriteBuffer(1 << 17) },
		"SetNotSentLowat":    func() error { return c.SetNotSentLowat(1 << 14) },
		"SetReadBuffer":      func() error { return c.SetReadBuffer(1 << 17) },
		"SetTOS":             func() error { return c.SetTOS(0xb8) },
		"OnReport":           func() error { return c.OnReport(func(*Conn, Report) {}) },
	}
	for name, set := range options {
		if err := set(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Close()
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer.Close()
	eventually(t, "the options are refused", func() bool {
		for _, set := range options {
			if !errors.Is(set(), net.ErrClosed) {
				return false
			}
		}
		return true
	})
}

// dialed returns both ends of a connection between two stacks.
func dialed(t *testing.T) (c1, c2 *TCPConn) {
	t.Helper()
	a, b := newPair(t, Config{})
	ln, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	d, err := a.Dial("tcp", "10.1.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return d.(*TCPConn), p.(*TCPConn)
}

// TestNetConnLinger has Close throw away what was not delivered, and tell the peer, when that was asked for.
func TestNetConnLinger(t *testing.T) {
	for sec, want := range map[int]error{0: syscall.ECONNRESET, -1: io.EOF, 5: io.EOF} {
		c1, c2 := dialed(t)
		defer c2.Close()
		if err := c1.SetLinger(sec); err != nil {
			t.Fatal(err)
		}
		c1.Close()
		c2.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c2.Read(make([]byte, 1)); !errors.Is(err, want) {
			t.Errorf("after SetLinger(%d) and Close the peer reads %v, want %v", sec, err, want)
		}
	}
}

// TestNetConnKeepAliveConfig has zero fields mean net's defaults and negative ones change nothing, as net.TCPConn has it.
func TestNetConnKeepAliveConfig(t *testing.T) {
	c, peer := dialed(t)
	defer c.Close()
	defer peer.Close()
	for _, s := range []struct {
		set  net.KeepAliveConfig
		want tcp.KeepAlive
	}{
		{net.KeepAliveConfig{Enable: true}, tcp.KeepAlive{Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 9}},
		{net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: -1, Count: 3}, tcp.KeepAlive{Idle: time.Minute, Interval: 15 * time.Second, Count: 3}},
		{net.KeepAliveConfig{Idle: -1, Interval: time.Second, Count: -1}, tcp.KeepAlive{Interval: time.Second, Count: 3}},
		{net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}, tcp.KeepAlive{Idle: time.Minute, Interval: time.Second, Count: 3}},
	} {
		if err := c.SetKeepAliveConfig(s.set); err != nil {
			t.Fatal(err)
		}
		var got tcp.KeepAlive
		c.set(func(c *Conn) { got = c.tcp.Config().KeepAlive })
		if got != s.want {
			t.Errorf("%+v: %+v, want %+v", s.set, got, s.want)
		}
	}
}

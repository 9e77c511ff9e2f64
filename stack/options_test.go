package stack

import (
	"errors"
	"net"
	"testing"
	"time"
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

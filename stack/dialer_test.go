package stack

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/tcp"
)

// TestOwnConfigOfDialerAndListener gives a dialer and a listener configurations of their own, with buffers far below those of their
// stacks, and moves more through the connection than they hold.
func TestOwnConfigOfDialerAndListener(t *testing.T) {
	a, b := newPair(t, Config{})
	small := tcp.Config{RecvBuffer: 20_000, SendBuffer: 20_000, MSS: 700, DelayedACK: -1}
	lc := ListenConfig{Stack: b, TCP: &small, Backlog: 3}
	ln, err := lc.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialer := Dialer{Stack: a, TCP: &tcp.Config{NoTimestamps: true, NoSACK: true}, Timeout: 5 * time.Second}
	c1, err := dialer.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c1.Close()
	c2, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	if i, _ := c1.(*TCPConn).Info(); i.Timestamps || i.SACK || i.SendMSS != 700 || i.SendWindow > 20_000 {
		t.Errorf("the dialed connection: %+v", i)
	}
	sent := make([]byte, 1<<20)
	rand.Read(sent)
	go func() {
		c1.Write(sent)
		c1.(*TCPConn).CloseWrite()
	}()
	c2.SetDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.ReadAll(c2); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes: %v", len(got), len(sent), err)
	}
	sender, ok1 := c1.(*TCPConn).TCPInfo()
	for range 200 { // The last ACK may still be on its way.
		if sender.BytesAcked == 1<<20 {
			break
		}
		time.Sleep(10 * time.Millisecond)
		sender, ok1 = c1.(*TCPConn).TCPInfo()
	}
	receiver, ok2 := c2.(*TCPConn).TCPInfo()
	if !ok1 || !ok2 || sender.BytesAcked != 1<<20 || receiver.BytesReceived != 1<<20 || sender.SndMSS != 700 {
		t.Errorf("TCPInfo: %+v\n%+v", sender, receiver)
	}
	c3, err := a.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c3.Close()
	if i, _ := c3.(*TCPConn).Info(); !i.Timestamps || !i.SACK {
		t.Errorf("the connection of the stack's own configuration: %+v", i)
	}
}

// TestBadOwnConfig: a configuration that makes no sense is refused by the call that it is for.
func TestBadOwnConfig(t *testing.T) {
	a, b := newPair(t, Config{})
	bad := &tcp.Config{MSS: 10}
	dialer := Dialer{Stack: a, TCP: bad}
	if _, err := dialer.Dial("tcp", "10.1.0.2:80"); !errors.Is(err, tcp.ErrConfig) {
		t.Errorf("Dial: %v", err)
	}
	if err := dialer.Connect(netip.MustParseAddrPort("10.1.0.2:80"), &quiet{}); !errors.Is(err, tcp.ErrConfig) {
		t.Errorf("Connect: %v", err)
	}
	for _, lc := range []ListenConfig{{Stack: b, TCP: bad}, {Stack: b, Backlog: -1}, {Stack: b, SynBacklog: 1 << 30}} {
		if _, err := lc.Listen("tcp", ":80"); !errors.Is(err, tcp.ErrConfig) && !errors.Is(err, ErrConfig) {
			t.Errorf("Listen: %v", err)
		}
		if _, err := lc.Handle(":80", &quiet{}); !errors.Is(err, tcp.ErrConfig) && !errors.Is(err, ErrConfig) {
			t.Errorf("Handle: %v", err)
		}
	}
}

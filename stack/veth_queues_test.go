package stack

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// echoServer answers every connection with what it says, until the test ends.
func echoServer(t *testing.T, ln net.Listener, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
}

// echoText sends a text over a connection and compares what comes back.
func echoText(t *testing.T, c net.Conn, text string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go io.WriteString(c, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Errorf("echo from %v to %v: %v", c.LocalAddr(), c.RemoteAddr(), err)
	}
}

// TestSeveralQueues runs connections in both directions over an interface with two queues, and others to the kernel's own TCP on the same
// interface: each queue gets a part of the stack's, nothing is lost that is not counted, and where the interface tells how it hashes, no
// segment of a dialed connection comes to the wrong shard.
func TestSeveralQueues(t *testing.T) {
	l := netlab.ForTest(t, netlab.Config{Queues: 2, BothKernel: true})
	s := openBeside(t, l, Config{})
	if s.Shards() != 2 {
		t.Fatalf("%d shards on two queues", s.Shards())
	}
	for _, q := range s.Interface().Queues() {
		if q.Mode().ZeroCopy == l.Veth() {
			t.Errorf("queue %d: %v", q.Index(), q.Mode())
		}
	}
	ln, err := s.Listen("tcp", ":7")
	echoServer(t, ln, err)
	ln, err = l.Kernel.Listen("tcp", addr(l.Kernel.Address, 7))
	echoServer(t, ln, err)
	ln, err = l.Stack.Listen("tcp", addr(l.Stack.Address, 22))
	echoServer(t, ln, err)
	text := strings.Repeat("through any queue ", 1000)
	var all sync.WaitGroup
	for range 14 {
		for _, dial := range []func() (net.Conn, error){
			func() (net.Conn, error) { return l.Kernel.Dial("tcp", addr(s.Address(), 7)) },
			func() (net.Conn, error) { return s.Dial("tcp", addr(l.Kernel.Address, 7)) },
			func() (net.Conn, error) { return l.Kernel.Dial("tcp", addr(l.Stack.Address, 22)) },
		} {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { echoText(t, c, text); c.Close() })
		}
	}
	all.Wait()
	judgeQueues(t, s, l)
}

// openBeside opens a stack on the lab's interface, on which the kernel has an address too.
func openBeside(t *testing.T, l *netlab.Lab, cfg Config) *Stack {
	t.Helper()
	cfg.Interface, cfg.Address = l.Stack.Interface, netip.MustParsePrefix("10.77.0.9/24")
	var s *Stack
	if err := l.Stack.Do(func() (err error) { s, err = Open(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := l.WaitCarrier(); err != nil {
		t.Fatal(err)
	}
	return s
}

func judgeQueues(t *testing.T, s *Stack, l *netlab.Lab) {
	t.Helper()
	passed, received, lost := uint64(0), uint64(0), uint64(0)
	for i, r := range quietReports(t, s) {
		t.Logf("shard %d: %d frames received, %d passed on", i, r.Stats.Rx.Frames, r.Stats.PassedOn)
		passed += r.Stats.PassedOn
		received += r.Device.Queue.RxPackets
		lost += r.Device.Socket.RxDropped + r.Device.Socket.RxRingFull + r.Device.Socket.FillRingEmpty
		if n := r.Stats.Drop.PassOn; n != 0 {
			t.Errorf("shard %d dropped %d segments that were to be passed on", i, n)
		}
		if r.Stats.Rx.Frames == 0 || r.Stats.TCP.ActiveOpens == 0 || r.Stats.TCP.PassiveOpens == 0 {
			t.Errorf("shard %d received %d frames; %d connections were dialed, %d accepted", i, r.Stats.Rx.Frames,
				r.Stats.TCP.ActiveOpens, r.Stats.TCP.PassiveOpens)
		}
	}
	known := s.homes.first != nil
	switch {
	case known && passed != 0:
		t.Errorf("%d segments came to the wrong shard, though the card tells how it hashes", passed)
	case l.Veth() && passed == 0: // of 14 dialed connections half come astray
		t.Error("no segment came to the wrong shard")
	}
	c, err := s.Interface().Program().Counters()
	if err != nil {
		t.Fatal(err)
	}
	r := c.Redirected
	redirected := r.ARP + r.TCP + r.UDP + r.ICMP + r.Protocol + r.Fragment
	if c.Passed.NoSocket != 0 || redirected < received || redirected > received+lost+8 { // a few may be on their way
		t.Errorf("%d frames were redirected, %d received, %d counted as lost, %d came to no socket", redirected, received, lost,
			c.Passed.NoSocket)
	}
}

// quietReports are the shards' once no frame has come for a while: those of connections that end may be on their way.
func quietReports(t *testing.T, s *Stack) []ShardReport {
	t.Helper()
	for before := uint64(0); ; time.Sleep(100 * time.Millisecond) {
		now, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		frames := uint64(0)
		for _, r := range now {
			frames += r.Stats.Rx.Frames
		}
		if frames == before {
			return now
		}
		before = frames
	}
}

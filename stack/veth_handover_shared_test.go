package stack

import (
	"errors"
	"fmt"
	"io"
	"net"

	"syscall"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestUpgradeShared has the ports of a stack that shares the kernel's address go to another stack, which opens some of them and has fewer to
// dial from: those that it does not open stay reserved until the old stack has ended. Connections to them go on, also after the old stack has
// closed what it has open.
func TestUpgradeShared(t *testing.T) {
	cfg := Config{Shared: true, DialPorts: 8}
	cfg.AFXDP.Transferable = true
	s, l := openShared(t, netlab.Config{}, cfg)
	handle := func(s *Stack, at string) *HandlerListener {
		t.Helper()
		ln, err := s.Handle(at, &slowEcho{})
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	handle(s, ":7")
	handle(s, ":8")
	handle(s, addr(s.Address(), 9))
	udp, err := s.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	last := s.shared.dialPorts[7]
	free := func(network, port string) bool {
		t.Helper()
		var closer interface{ Close() error }
		var err error
		if network == "udp" {
			closer, err = l.Stack.ListenPacket(network, port)
		} else {
			closer, err = l.Stack.Listen(network, port)
		}
		if err == nil {
			closer.Close()
		} else if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
		return err == nil
	}
	load := startTransfers(t, l, addr(s.Address(), 7), 1, 1)
	c, err := l.Kernel.Dial("tcp", addr(s.Address(), 8))
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.Offer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Handle(":10", &slowEcho{}); !errors.Is(err, ErrHandover) {
		t.Errorf("a port is opened while they go over: %v", err)
	}
	h.Close()
	s.Withdraw()
	cfg.DialPorts = 4
	young := upgrade(t, l, s, cfg, func(young *Stack) error {
		handle(young, ":7")
		_, err := young.ListenPacket("udp", ":53")
		return err
	})
	udp.Close()
	taken := []string{":7", ":8", addr(s.Address(), 9), fmt.Sprintf(":%d", last)}
	for _, port := range taken {
		if free("tcp", port) {
			t.Errorf("port %s is free while the old stack has connections", port)
		}
	}
	if free("udp", ":53") {
		t.Error("UDP port 53 is free: the old stack has closed its socket, and the new one has it")
	}
	echoesBack(t, c, "to a port that only the old stack has")
	c.Close()
	handle(young, addr(s.Address(), 9)) // which it does not have yet, and nobody else either
	close(load.stop)
	load.done.Wait()
	eventually(t, "the old stack's last connection", func() bool {
		r, err := s.Report()
		return err != nil || r[0].Connections == 0
	})
	closeChecked(t, s)
	eventually(t, "the end of the process before", func() bool { return !young.Predecessor() && free("tcp", ":8") })
	if !free("tcp", fmt.Sprintf(":%d", last)) || free("tcp", ":7") || free("tcp", addr(s.Address(), 9)) || free("udp", ":53") {
		t.Error("what only the old stack had is not free, or something else is")
	}
	for _, port := range []int{7, 9} {
		if err := greet(l, addr(l.Stack.Address, port), []byte("hello")); err != nil {
			t.Errorf("port %d: %v", port, err)
		}
	}
	closeChecked(t, young)
	eventually(t, "the kernel's ports", func() bool { return free("tcp", ":7") })
}

// echoesBack sends a text over a connection, and expects it back.
func echoesBack(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, len(text))
	_, err := c.Write([]byte(text))
	if err == nil {
		_, err = io.ReadFull(c, got)
	}
	if err != nil || string(got) != text {
		t.Errorf("%q came back for %q: %v", got, text, err)
	}
}

package service

import (
	"net"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/sim/simtest"
	"github.com/xdpstack/xdpstack/stack"
)

// patience bounds every wait of these tests: they run beside others on small machines.
const patience = 30 * time.Second

// pair makes a server's and a client's stack, joined in memory.
func pair(t *testing.T) (server, client *stack.Stack) {
	t.Helper()
	server, client = simtest.Pair(t, "192.0.2.1/24", "192.0.2.2/24")
	t.Cleanup(func() {
		client.Close()
		settled(t, server)
		server.Close()
	})
	return server, client
}

// settled checks that the server's stack holds nothing once its connections are over: each frame that a service kept was released.
func settled(t *testing.T, s *stack.Stack) {
	t.Helper()
	var held int
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		reports, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		held = reports[0].Frames.Held
		if reports[0].Connections == 0 && held == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d connections and %d frames are left", reports[0].Connections, held)
			return
		}
	}
}

func handle(t *testing.T, s *stack.Stack, port string, h stack.Handler) {
	t.Helper()
	if _, err := s.Handle(":"+port, h); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, client *stack.Stack, network, port string) net.Conn {
	t.Helper()
	c, err := client.Dial(network, "192.0.2.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

type closeWriter interface{ CloseWrite() error }

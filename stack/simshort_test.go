package stack_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/sim"
	"github.com/xdpstack/xdpstack/stack"
)

// asking sends one request on a connection and closes it after the answer.
type asking struct{ finished int }

func (a *asking) Opened(c *stack.Conn)             { c.Write([]byte("question")) }
func (a *asking) Received(c *stack.Conn, _ []byte) { c.Close() }
func (a *asking) Writable(*stack.Conn)             {}
func (a *asking) PeerClosed(*stack.Conn)           {}
func (a *asking) Closed(*stack.Conn, error)        { a.finished++ }

// answering answers each request.
type answering struct{}

func (answering) Opened(*stack.Conn)               {}
func (answering) Received(c *stack.Conn, _ []byte) { c.Write([]byte("answer")) }
func (answering) Writable(*stack.Conn)             {}
func (answering) PeerClosed(c *stack.Conn)         { c.Close() }
func (answering) Closed(*stack.Conn, error)        {}

// TestShortConnectionsDoNotAllocate opens, uses and closes connections, and counts what the server allocates for them once its
// slabs have grown: nothing.
func TestShortConnectionsDoNotAllocate(t *testing.T) {
	a, b, err := sim.Pipe(sim.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := stack.New(stack.Config{Address: clientPrefix, Seed: 1}, a)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := stack.New(stack.Config{Address: serverPrefix, Seed: 2}, b)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := server.Handle(":7", answering{}); err != nil {
		t.Fatal(err)
	}
	const atOnce, rounds, turns = 50, 40, 200
	now := clock.Time(time.Second)
	ask := &asking{}
	var allocated uint64
	round := func(measured bool) {
		for range atOnce {
			if err := client.Connect(serverPort, ask); err != nil {
				t.Fatal(err)
			}
		}
		for range turns {
			now = now.Add(20 * time.Microsecond)
			client.Shard(0).Step(now)
			var before, after runtime.MemStats
			if measured {
				runtime.ReadMemStats(&before)
			}
			server.Shard(0).Step(now)
			if measured {
				runtime.ReadMemStats(&after)
				allocated += after.Mallocs - before.Mallocs
			}
		}
	}
	for range rounds { // slabs, tables and TIME-WAIT grow to the size that the measured rounds need
		round(false)
	}
	done := ask.finished
	for range 5 {
		round(true)
	}
	if n := ask.finished - done; n != 5*atOnce {
		t.Fatalf("%d of %d connections were used and closed", n, 5*atOnce)
	}
	// The runtime itself allocates now and then while it is being watched.
	if perConn := float64(allocated) / (5 * atOnce); perConn > 0.1 {
		t.Errorf("%.2f allocations a connection (%d in all)", perConn, allocated)
	}
}

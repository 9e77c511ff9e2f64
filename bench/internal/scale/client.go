package scale

import (
	"errors"
	"fmt"
	"time"

	"github.com/xdpstack/xdpstack/bench/internal/core"
	"github.com/xdpstack/xdpstack/bench/internal/peer"
)

// batch is how many frames the stack is given at a time.
const batch = 64

// How long the client waits for a stack that does nothing: for a time, and for some turns, because the machine may have had no time for it.
const (
	patience   = 5 * time.Second
	leastTurns = 1000
)

// client opens connections to a stack in memory.
type client struct {
	target core.Target
	peer   *peer.Many
	opened int
	frame  func(b []byte) int
	take   func(head []byte, size int)
}

func newClient(t core.Target, most int) *client {
	p := peer.NewMany(peer.DefaultConfig(core.Hold.Port()), most)
	return &client{target: t, peer: p, frame: p.Frame, take: p.Take}
}

// open opens connections until there are n, a batch at a time.
func (c *client) open(n int) error {
	for c.opened < n {
		next := min(c.opened+batch/2, n)
		c.peer.Start(c.opened, next)
		c.opened = next
		for end, turns := time.Now().Add(patience), 0; c.peer.Due() > 0 || c.peer.Established < next; turns++ {
			c.turn(min(c.peer.Due(), batch), c.frame)
			if err := c.peer.Failure(); err != nil {
				return fmt.Errorf("with %d connections: %w", c.peer.Established, err)
			}
			if turns > leastTurns && time.Now().After(end) {
				return fmt.Errorf("scale: the stack takes no more than %d connections", c.peer.Established)
			}
		}
	}
	for range 100 { // the last ACKs
		c.turn(0, nil)
	}
	if c.peer.Failure() == nil && c.peer.Established != n {
		return errors.New("scale: connections are missing")
	}
	return c.peer.Failure()
}

// turn delivers n frames and lets the stack run.
func (c *client) turn(n int, next func(b []byte) int) {
	if n > 0 {
		c.target.Deliver(n, next)
	}
	c.target.Work(c.take)
	c.answer()
}

// answer answers the stack's request for the gateway's hardware address, if there is one.
func (c *client) answer() {
	if c.peer.Asked() {
		c.target.Deliver(1, c.peer.ARPReply)
	}
}
